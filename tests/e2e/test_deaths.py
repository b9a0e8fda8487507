"""Parts of the house are killed while a job is trained; the job is not lost, and not trained twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ledger import LedgerSettings
from lowland import Client
from lowland.spec import Status
from tests.e2e.training import SMALL, engine_of, finished, outcomes, runner_of, training
from tests.stack.house import House, alive, house
from tests.waiting import until
from worker.bells import bell_app, ring

VICTIMS: dict[str, Callable[[House], psutil.Process]] = {
    "engine": engine_of,
    "runner": runner_of,
    "worker": lambda running: running.child("worker"),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_whose_engine_runner_or_worker_is_killed_runs_again(running: House, client: Client, victim: str) -> None:
    job = client.submit({**SMALL, "epochs": 100})
    training(client, job)
    engine = engine_of(running)

    VICTIMS[victim](running).kill()

    until(lambda: not alive([engine]), "the engine is gone too", seconds=3)
    job = finished(client, job)
    assert (job.status, job.attempt) == (Status.SUCCEEDED, 2), job.error
    assert outcomes(job) == [(1, "lost"), (2, "succeeded")]


@pytest.mark.parametrize("victim", ["api", "keeper", "valkey"])
def test_an_api_a_keeper_or_a_redis_that_is_killed_loses_nothing(running: House, client: Client, victim: str) -> None:
    trained = client.submit({**SMALL, "epochs": 100})
    waiting = client.submit(SMALL)
    training(client, trained)
    killed = running.child(victim)

    killed.kill()

    running.new_child(victim, killed)
    jobs = [finished(client, trained), finished(client, waiting)]
    assert [(job.status, outcomes(job)) for job in jobs] == [(Status.SUCCEEDED, [(1, "succeeded")])] * 2


def test_a_bell_that_rings_again_and_again_trains_a_job_once(running: House, client: Client) -> None:
    bells = bell_app(LedgerSettings(redis_url=running.redis_url))
    job = client.submit(SMALL)

    ring(bells, "any", 5)

    job = finished(client, job)
    assert (job.status, outcomes(job)) == (Status.SUCCEEDED, [(1, "succeeded")])
    until(lambda: counts(running) == {"workers": 1, "queued": 0, "running": 0}, "all is quiet")
    assert client.get(job.id) == job


def counts(running: House) -> dict[str, Any]:
    return {name: (running.readiness() or {}).get(name) for name in ("workers", "queued", "running")}


def test_a_job_goes_on_after_the_house_was_stopped_and_started(tmp_path: Path) -> None:
    with house(tmp_path / "data") as first, Client(first.url) as client:
        job = client.submit({**SMALL, "epochs": 100})
        training(client, job)

    with house(tmp_path / "data") as second, Client(second.url) as client:
        job = finished(client, job)

    assert job.status == Status.SUCCEEDED
    assert outcomes(job) == [(1, "put_back"), (1, "succeeded")]
