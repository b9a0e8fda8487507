"""How the API is configured, read from the environment."""

from pydantic import Field

from ledger import LedgerSettings


class ApiSettings(LedgerSettings):
    """What the API needs to know, beside where the ledger and the artifacts are."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    """The largest request body that is read, in bytes."""
    access_log: bool = True
    """Whether each request gets a line in the log; those of probes, `/healthz` and the like, only at level DEBUG."""
