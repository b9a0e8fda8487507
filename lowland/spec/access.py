"""Who may do what: scopes, and the record of what was done."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

#: How the name of an owner looks; it becomes part of keys in Redis and of the names of queues.
OWNER_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    """See jobs, what they have made, and what there is to choose from."""
    SUBMIT = "submit"
    """Submit jobs; cancel, pause, resume and retry them."""
    ADMIN = "admin"
    """Both, for everybody's jobs; see and drain workers, read the audit."""


class AuditEntry(BaseModel):
    """One request that was to change something, with how it was answered."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    at: datetime
    """When it was answered."""
    owner: str
    """Who sent it; `command line` for what was done with `lowland keys`."""
    key_id: str | None = None
    """The key it came with, as `lowland keys ls` names it; null for a caller without one."""
    action: str
    """What was asked for, as the API's document names it, such as `submit_job`."""
    subject: str | None = None
    """The job, worker or key that it was about; of `cancel_jobs` the query, decoded; 128 characters at most."""
    status: int | None = None
    """The HTTP status of the answer; null for what did not come by HTTP."""
    request_id: str | None = None
    """The `X-Request-Id` of its answer; null for what did not come by HTTP."""


class AuditPage(BaseModel):
    """A part of the audit, newest first."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    entries: list[AuditEntry]
    """Newest first."""
    next: str | None = None
    """The `cursor` of the next page; null on the last."""
