"""How the API is configured, read from the environment."""

import re
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from ledger import AccessSettings
from ledger.access import check_rate

_ORIGIN: Final = re.compile(r"\*|https?://[^/\s,*]+")
_HOST: Final = re.compile(r"\*|[a-z0-9._-]+")


class ApiSettings(AccessSettings):
    """What the API needs to know, beside where the ledger and the artifacts are."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    """The largest request body that is read, in bytes."""
    access_log: bool = True
    """Whether each request gets a line in the log; those of probes, `/healthz` and the like, only at level DEBUG."""
    telemetry: bool = False
    """Whether requests are traced and measured by OpenTelemetry, and sent by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT`
    says; that takes the extra `telemetry`, and slows the API down."""
    cors_origins: Annotated[list[str], NoDecode] = Field(default=[])
    """Origins whose pages may use the API in a browser, such as `https://lab.example.org`, with commas between; `*` is
    any. By default none."""
    allowed_hosts: Annotated[list[str], NoDecode] = Field(default=[])
    """Names beside `localhost` by which a server on loopback is asked while it wants no keys, such as
    `lab.example.org` behind a proxy on the same machine, with commas between; `*` is any. It keeps out pages that have
    their own name turned to this machine."""
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """What a proxy has before the API's paths, such as `/lowland`; whether it strips that or not."""

    rate_limit: str | None = None
    """Requests that each key is good for, such as `600/minute`; a key may have a limit of its own."""
    quota_jobs: int | None = Field(default=None, ge=1)
    """Jobs that an owner may have queued, running or paused; a key may have a quota of its own, and one with the scope
    `admin` has no other."""
    max_samples_seen: int | None = Field(default=None, ge=1)
    """The most epochs × training samples that a new job may ask for: samples of the training set after `dataset.limit`,
    with the validation part that is split off it. Jobs on people's own files then need a `dataset.limit`; the
    minimisation of functions has no samples and no bound but its steps. By default any number."""
    streams_per_key: int = Field(default=500, ge=1)
    """Connections that may follow jobs at once (`/events`, `/logs` with `follow`, `Prefer: wait`), of each key, or of
    each address where there are no keys, and of each API process. The default is half of the 1,024 files that a process
    may usually have open, so that one key does not keep out the others; whoever follows from the machine itself hardly
    comes near it."""
    ping_s: float = Field(default=15.0, gt=0)
    """How long a connection that follows a job's events is silent at most, in seconds (proxies close what is silent),
    and how often it is looked whether the key or session of whoever follows a job is still good. The log of an engine
    is sent as it is, with nothing where nothing is printed."""
    metrics_open: bool = False
    """Whether `/metrics` needs no API key where there are keys."""

    @field_validator("cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, names: object) -> object:
        return [one.strip() for one in names.split(",") if one.strip()] if isinstance(names, str) else names

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is no origin; give scheme and host, as https://lab.example.org, or *")
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: list[str]) -> list[str]:
        hosts = [host.lower() for host in hosts]
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host} is no host; give its name without scheme and port, as lab.example.org, or *")
        return hosts

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, rate_limit: str | None) -> str | None:
        return check_rate(rate_limit) if rate_limit else None
