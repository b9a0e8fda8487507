"""Jobs for the end-to-end tests, and the processes that train them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psutil

from lowland import Client
from lowland.spec.resource import Job
from tests.stack.house import House
from tests.waiting import until

#: Trained in seconds, even beside other tests.
SMALL: Final[Mapping[str, Any]] = {
    "dataset": {"name": "digits", "limit": 500},
    "model": {"name": "mlp", "width": 32},
    "epochs": 20,
}
#: Never over before its test is.
ENDLESS: Final = {**SMALL, "epochs": 10_000, "model": {"name": "mlp", "width": 256}}
#: How long a small job may take beside other tests, a second attempt included.
PATIENCE_S: Final = 90.0


def engine_of(house: House) -> psutil.Process:
    """The one engine that trains in a house."""
    return until(lambda: _engines(house), "an engine runs", seconds=30)[0]


def runner_of(house: House) -> psutil.Process:
    """The runner that looks after that engine."""
    runner = engine_of(house).parent()
    assert runner is not None
    return runner


def training(client: Client, job: Job) -> Job:
    """The job, once its engine has taken steps."""

    def taken() -> Job | None:
        seen = client.get(job.id)
        assert not seen.terminal, seen
        return seen if seen.progress is not None and seen.progress.step > 0 else None

    seen = until(taken, "the engine takes steps", seconds=60)
    assert seen is not None
    return seen


def finished(client: Client, job: Job) -> Job:
    """The job, once nothing will happen to it any more."""
    return client.wait(job.id, timeout_s=PATIENCE_S)


def outcomes(job: Job) -> list[tuple[int, str | None]]:
    """Each run of the job: its attempt and how it ended."""
    return [(run.attempt, run.outcome) for run in job.attempts]


def _engines(house: House) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [engine for runner in house.child("worker").children() for engine in runner.children()]
    return []
