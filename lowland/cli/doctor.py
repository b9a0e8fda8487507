"""`lowland doctor`: what stands in the way of training, and what to do about it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

import lowland
from lowland.cli.checkout import find_the_server
from lowland.cli.connecting import connected
from lowland.cli.exits import Exit
from lowland.cli.placing import data_dir_option, redis_url_option
from lowland.cli.printing import json_option, print_fact, print_json
from lowland.errors import KeyRefused, LowlandError, NotAllowed, ServerUnavailable
from lowland.findings import Finding

if TYPE_CHECKING:
    from lowland.client import Client

_STYLES: Final = {"warning": "yellow", "failed": "red"}


@click.command()
@data_dir_option()
@redis_url_option("Redis or Valkey of the server.  [default: the data folder's]")
@json_option
def doctor(data_dir: Path, redis_url: str | None, as_json: bool) -> None:
    """Say what works and what does not, and what to do about it.

    Looks at the server that the other commands talk to. Where the server's rooms are (a checkout with `make setup`)
    also at what it needs on this machine: packages, torch, GPUs, Redis, the artifact store, datasets. Changes nothing.

    Exit code 1 if something has failed; warnings do no harm to it.
    """
    found: list[Finding] = []
    for finding in _findings(data_dir, redis_url):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.state == "failed" for finding in found):
        raise SystemExit(Exit.FAILED)


def _findings(data_dir: Path, redis_url: str | None) -> Iterator[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(name="lowland", state="ok", detail=f"{lowland.__version__} on Python {python}")
    with connected() as client:
        yield from _server(client)
    if not find_the_server():
        detail = "this is the client alone; what a server needs was not looked at"
        yield Finding(name="server's rooms", state="ok", detail=detail)
        return
    from stack.doctor import findings  # noqa: PLC0415  it is not in the wheel

    yield from findings(data_dir, redis_url)


def _server(client: "Client") -> Iterator[Finding]:
    try:
        ready = client.ready()
    except ServerUnavailable as error:
        advice = "start one with `lowland serve`, or say where it is with LOWLAND_URL or --url"
        yield Finding(name="server", state="failed", detail=str(error), advice=advice)
        return
    except LowlandError as error:
        advice = "LOWLAND_URL or --url names something else; give the address that `lowland serve` prints"
        yield Finding(name="server", state="failed", detail=str(error), advice=advice)
        return
    detail = f"{ready.version} at {client.base_url}: {ready.queued} queued, {ready.running} running"
    if ready.version.split(".")[:2] == lowland.__version__.split(".")[:2]:
        yield Finding(name="server", state="ok", detail=detail)
    else:
        advice = (
            f"install version {ready.version} here, or upgrade the server; they may not understand each other fully"
        )
        yield Finding(name="server", state="warning", detail=detail, advice=advice)
    idle = "jobs wait until a worker starts; on a machine that is to train, run `lowland serve` or a worker"
    yield Finding(
        name="workers",
        state="ok" if ready.workers else "warning",
        detail=f"{ready.workers} at the server",
        advice=None if ready.workers else idle,
    )
    yield _key(client)


def _key(client: "Client") -> Finding:
    try:
        list(client.list(limit=1))
    except KeyRefused as error:
        advice = "have `lowland keys create` make one where the server is, and set LOWLAND_API_KEY to it"
        return Finding(name="API key", state="failed", detail=str(error), advice=advice)
    except NotAllowed as error:
        return Finding(name="API key", state="warning", detail=str(error), advice="ask for a key with more scopes")
    except LowlandError as error:
        return Finding(name="API key", state="failed", detail=str(error), advice="see what the server logs")
    return Finding(name="API key", state="ok", detail="the server lets us in")


def _print(finding: Finding) -> None:
    print_fact(f"{finding.state:9}{finding.name}", finding.detail, indent=27, style=_STYLES.get(finding.state))
    if finding.advice:
        print_fact("", finding.advice, indent=27)
