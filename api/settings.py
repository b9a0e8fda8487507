"""How the API is configured, read from the environment."""

from pydantic import Field, field_validator

from ledger import AccessSettings
from ledger.access import check_rate


class ApiSettings(AccessSettings):
    """What the API needs to know, beside where the ledger and the artifacts are."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    """The largest request body that is read, in bytes."""
    rate_limit: str | None = None
    """Requests that each key is good for, such as `600/minute`; a key may have a limit of its own."""
    quota_jobs: int | None = Field(default=None, ge=1)
    """Jobs that an owner may have queued, running or paused; a key may have a quota of its own, and one with the scope
    `admin` has no other."""

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, rate_limit: str | None) -> str | None:
        return check_rate(rate_limit) if rate_limit else None
