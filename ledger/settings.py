"""How to reach the ledger, read from the environment."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.access import AccessKey, read_keys
from ledger.address import Address


class LedgerSettings(BaseSettings):
    """What every process of the server needs to know; each process adds its own in a subclass."""

    model_config = SettingsConfigDict(
        env_prefix="LOWLAND_", use_attribute_docstrings=True, extra="ignore", hide_input_in_errors=True
    )

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis >= 6.2 or Valkey: `redis://`, `rediss://` (TLS), `unix://`, or `redis+sentinel://` for the master that
    Sentinels name, each with user and password if need be; see [Connect to Redis](../how-to/connect-to-redis.md)."""
    redis_prefix: str = Field(default="{lowland}:", pattern=r"^\{[A-Za-z0-9_-]+\}:$")
    """What every key starts with, so that several ledgers can share a server."""
    artifact_dir: Path = Path("~/.local/share/lowland/artifacts")
    """The artifact store's folder, the same for the API, the keeper and every worker."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long a worker may be silent before its job is given to another. It is renewed every second, or more often."""

    log_format: Literal["json", "console"] | None = None
    """How each process writes its log: JSON lines or lines for people; by default these on a terminal, else JSON."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What is too unimportant for the log: everything below."""

    @classmethod
    def of_process(cls) -> Self:
        """Read them where a process starts; a wrong one ends it, with one line on standard error and exit code 2."""
        try:
            return cls()
        except ValidationError as error:
            mistake = error.errors()[0]
            print(f"lowland: LOWLAND_{str(mistake['loc'][0]).upper()}: {mistake['msg']}", file=sys.stderr)
            raise SystemExit(2) from error

    @field_validator("redis_url")
    @classmethod
    def _leads_to_redis(cls, url: str) -> str:
        url = url or str(cls.model_fields["redis_url"].default)  # a variable that is empty is none
        Address.read(url)
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("artifact_dir")
    @classmethod
    def _without_tilde(cls, folder: Path) -> Path:
        return folder.expanduser()


class AccessSettings(LedgerSettings):
    """Who may come in, as far as the environment says."""

    api_keys: SecretStr = SecretStr("")
    """Keys beside those that `lowland keys create` makes: `OWNER:SCOPES:KEY`, scopes joined by `+`, entries by commas,
    such as `ada:read+submit:lowland_...`."""
    require_api_key: bool = False
    """Let nobody in without a key, even while there is none. `lowland serve` sets it where others can reach it."""

    @field_validator("api_keys")
    @classmethod
    def _can_be_read(cls, given: SecretStr) -> SecretStr:
        read_keys(given.get_secret_value())
        return given

    def configured_keys(self) -> Mapping[str, AccessKey]:
        """What the keys in the environment are good for, by their digests."""
        return read_keys(self.api_keys.get_secret_value())
