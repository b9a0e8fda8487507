"""How to reach the ledger, read from the environment."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class LedgerSettings(BaseSettings):
    """What every process of the server needs to know; each process adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix="LOWLAND_", use_attribute_docstrings=True, extra="ignore")

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis >= 6.2 or Valkey."""
    redis_prefix: str = Field(default="{lowland}:", pattern=r"^\{[A-Za-z0-9_-]+\}:$")
    """What every key starts with, so that several ledgers can share a server."""
    artifact_dir: Path = Path("~/.local/share/lowland/artifacts")
    """The artifact store's folder, the same for the API and every worker."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long a worker may be silent before its job is given to another. It is renewed every second, or more often."""

    @field_validator("artifact_dir")
    @classmethod
    def _without_tilde(cls, folder: Path) -> Path:
        return folder.expanduser()
