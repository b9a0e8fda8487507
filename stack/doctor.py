"""What a server needs of this machine, looked at and not changed: for `lowland doctor`."""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from ledger import Keys, LedgerSettings, LedgerUnusable
from ledger.address import Address
from ledger.connection import MIN_VERSION
from ledger.keys import check_schema
from lowland.findings import Finding
from stack.serve import PACKAGES
from stack.valkey import running_url
from worker.devices import machine_of
from worker.settings import WorkerSettings

#: Packages whose versions are worth knowing when something is wrong.
_VERSIONS: Final = ("torch", "torchvision", "celery", "kombu", "redis", "fastapi", "uvicorn", "pydantic", "httpx2")
#: Of the artifact store's disk: below the first, warn; below the second a job is likely to fail.
_LITTLE_BYTES: Final = 10 * 10**9
_TOO_LITTLE_BYTES: Final = 10**9
_TIMEOUT_S: Final = 3.0
_SET_UP: Final = "run `make setup` in the checkout, or `pip install -c constraints.txt -e '.[server]'`"


def findings(data_dir: Path, redis_url: str | None) -> Iterator[Finding]:
    """Everything that was looked at, in the order in which it fails.

    Args:
        data_dir: of the server, whose own Redis and artifact store are in it.
        redis_url: of a Redis that was named; None means the data folder's.
    """
    yield _packages()
    try:
        settings, worker = LedgerSettings(), WorkerSettings()
    except ValidationError as error:
        mistake = error.errors()[0]
        variable = f"LOWLAND_{mistake['loc'][0]}".upper()
        yield Finding(name="settings", state="failed", detail=f"{variable}: {mistake['msg']}", advice=f"set {variable}")
        return
    yield from _torch(worker)
    yield from _redis(redis_url or running_url(data_dir.expanduser() / "valkey"), data_dir, settings)
    is_named = "artifact_dir" in settings.model_fields_set
    yield _store(settings.artifact_dir if is_named else data_dir.expanduser() / "artifacts")
    yield from _datasets()


def _packages() -> Finding:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding(name="packages", state="failed", detail=f"not installed: {', '.join(missing)}", advice=_SET_UP)
    return Finding(name="packages", state="ok", detail=", ".join(f"{name} {_version(name)}" for name in _VERSIONS))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def _torch(settings: WorkerSettings) -> Iterator[Finding]:
    """GPUs as the workers find them, and whether torch can use them."""
    devices = [f"{slot.name} {slot.model}" for slot in machine_of(settings).slots]
    on_gpus = any(device.startswith("cuda") for device in devices)
    try:
        import torch  # noqa: PLC0415  it takes seconds, and may be what is broken
    except (ImportError, OSError) as error:
        yield Finding(name="torch", state="failed", detail=str(error).splitlines()[0], advice=_SET_UP)
    else:
        usable = torch.cuda.is_available()
        advice = "install torch for CUDA (pytorch.org says how), or set CUDA_VISIBLE_DEVICES to nothing"
        yield Finding(
            name="torch",
            state="warning" if on_gpus and not usable else "ok",
            detail=f"{torch.__version__}, " + ("with CUDA" if usable else "without CUDA"),
            advice=advice if on_gpus and not usable else None,
        )
    yield Finding(name="devices", state="ok", detail=", ".join(devices) + ("" if on_gpus else "; no GPU"))


def _redis(url: str | None, data_dir: Path, settings: LedgerSettings) -> Iterator[Finding]:
    if url is None:
        detail = f"none is named, and no server has worked in {data_dir}"
        advice = "`lowland serve` starts one; or set LOWLAND_REDIS_URL"
        yield Finding(name="Redis", state="warning", detail=detail, advice=advice)
        return
    try:
        address = Address.read(url)
    except ValueError as error:
        yield Finding(name="Redis", state="failed", detail=str(error), advice="set LOWLAND_REDIS_URL anew")
        return
    pool = address.blocking_pool(
        decode_responses=True,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with redis.Redis.from_pool(pool) as client:
            yield _server(client, str(address), Keys(settings.redis_prefix))
            yield _durability(client)
    except redis.RedisError as error:
        advice = "start it (`lowland serve` has its own), or set LOWLAND_REDIS_URL to where it is"
        yield Finding(name="Redis", state="failed", detail=f"{address}: {error}", advice=advice)


def _server(client: redis.Redis, place: str, keys: Keys) -> Finding:
    info: Mapping[str, Any] = client.info("server")
    said = info.get("valkey_version")
    detail = f"{'Valkey ' + said if said else 'Redis ' + str(info['redis_version'])} at {place}"
    if tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) < MIN_VERSION:
        return Finding(name="Redis", state="failed", detail=detail, advice="install Redis 6.2 or newer, or Valkey")
    schema: Any = client.get(keys.key("schema"))
    try:
        if schema is not None:
            check_schema(str(schema))
    except LedgerUnusable as error:
        return Finding(name="Redis", state="failed", detail=f"{detail}: {error}", advice="upgrade what is older")
    return Finding(
        name="Redis", state="ok", detail=f"{detail}, {'no ledger yet' if schema is None else 'with a ledger'}"
    )


def _durability(client: redis.Redis) -> Finding:
    """Whether what a submit was promised outlives a crash."""
    name = "Redis durability"
    try:
        said: Mapping[str, str] = client.config_get("appendonly", "appendfsync", "maxmemory-policy")  # pyright: ignore[reportAssignmentType]
    except redis.ResponseError as error:
        advice = "see to it that it has appendonly yes and maxmemory-policy noeviction"
        return Finding(name=name, state="warning", detail=f"it does not tell its settings: {error}", advice=advice)
    detail = ", ".join(f"{setting} {said[setting]}" for setting in sorted(said))
    if said.get("maxmemory-policy", "noeviction") != "noeviction":
        advice = "set maxmemory-policy noeviction: else jobs vanish when its memory is full"
        return Finding(name=name, state="failed", detail=detail, advice=advice)
    if said.get("appendonly") != "yes":
        advice = "set appendonly yes: else jobs are lost when it dies, and only finished ones can be rebuilt"
        return Finding(name=name, state="warning", detail=detail, advice=advice)
    if said.get("appendfsync") != "always":
        advice = "after a power cut the last second may lack; appendfsync always loses nothing"
        return Finding(name=name, state="warning", detail=detail, advice=advice)
    return Finding(name=name, state="ok", detail=detail)


def _store(folder: Path) -> Finding:
    name = "artifact store"
    folder = folder.expanduser().absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        advice = "give the server's user the right to write there, or set LOWLAND_ARTIFACT_DIR to another folder"
        return Finding(name=name, state="failed", detail=f"{place} is not writable", advice=advice)
    free = shutil.disk_usage(place).free
    detail = f"{folder}{'' if place == folder else ' (not there yet)'}, {free / 1e9:.0f} GB free"
    if free < _LITTLE_BYTES:
        advice = "make room: LOWLAND_RETENTION_DAYS deletes old jobs, `lowland rm` those you name"
        state = "failed" if free < _TOO_LITTLE_BYTES else "warning"
        return Finding(name=name, state=state, detail=detail, advice=advice)
    return Finding(name=name, state="ok", detail=detail)


def _datasets() -> Iterator[Finding]:
    try:
        from worker.engine.fetching import at_hand  # noqa: PLC0415  it needs torch, which may be what is broken
        from worker.engine.settings import settings_here  # noqa: PLC0415

        settings = settings_here()
    except (ImportError, OSError, ValueError) as error:
        yield Finding(name="datasets", state="failed", detail=str(error).splitlines()[0], advice=_SET_UP)
        return
    if settings.data_dir is not None and not settings.data_dir.is_dir():
        detail = f"LOWLAND_DATA_DIR is {settings.data_dir}, which is no folder"
        yield Finding(name="datasets", state="failed", detail=detail, advice="make it, or set LOWLAND_DATA_DIR anew")
        return
    there = dict(at_hand(settings))
    here = [name for name, folder in there.items() if folder]
    missing = [name for name, folder in there.items() if not folder]
    yield Finding(
        name="datasets",
        state="ok",
        detail=f"at hand: {', '.join(here) or 'those that need no files'}"
        + (f"; fetched when a job names them: {', '.join(missing)}" if missing else ""),
        advice=f"without a network, `lowland data get {' '.join(missing)}` where there is one" if missing else None,
    )
