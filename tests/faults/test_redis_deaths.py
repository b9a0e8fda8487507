"""Redis dies, stays away, stands still or forgets the bells; the jobs are none the worse for it."""

import threading
import time
from contextlib import suppress

import psutil
import pytest

from ledger import Keys, LedgerUnavailable
from lowland import Client
from lowland.spec import Status
from tests.faults.fleet import ENDLESS, SMALL, TINY, Fleet, frozen, outcomes
from tests.stack.house import alive, house
from tests.waiting import until


@pytest.mark.parametrize("frozen_s", [6.0])
def test_a_redis_that_stands_still_stops_no_deadline_and_no_training_and_costs_no_lease(
    fleet: Fleet, frozen_s: float
) -> None:
    fleet.lease_s = frozen_s / 2
    redis = fleet.start_redis()
    keeper = fleet.start_keeper()
    worker = fleet.start_worker(slots=2)
    epochs = round(33 * frozen_s)
    bounded = fleet.submit(ENDLESS, timeout_s=8)
    fleet.training(bounded)
    engine = worker.engine()
    trained = fleet.submit(SMALL, epochs=epochs)
    fleet.training(trained)

    with frozen(psutil.Process(redis.pid)):
        thaw_at = time.monotonic() + frozen_s
        written = len(_checkpoint_files(fleet, trained))
        until(lambda: not alive([engine]), "the time-out is seen", seconds=30)
        until(lambda: time.monotonic() > thaw_at, "it has stood still for long enough", seconds=60)
        written_meanwhile = len(_checkpoint_files(fleet, trained)) - written

    stopped, job = fleet.finished(bounded), fleet.finished(trained)
    assert (stopped.status, outcomes(stopped)) == (Status.FAILED, [(1, "failed")])
    assert stopped.error is not None
    assert stopped.error.type == "timeout"
    assert (job.status, outcomes(job)) == (Status.SUCCEEDED, [(1, "succeeded")])
    assert fleet.epochs(trained) == list(range(1, epochs + 1))
    assert written_meanwhile > 0
    assert "lease expired" not in keeper.log
    fleet.found = (
        f"the time-out was kept while Redis stood still; {written_meanwhile} epochs were trained meanwhile, all of the "
        "curve is there; no lease expired"
    )


@pytest.mark.parametrize(("away_s", "lease_s"), [(8.0, 4.0)])
def test_a_redis_that_is_away_for_longer_than_a_lease_leaves_a_complete_curve(
    fleet: Fleet, away_s: float, lease_s: float
) -> None:
    fleet.lease_s = lease_s
    redis = fleet.start_redis()
    fleet.start_keeper()
    fleet.start_worker()
    epochs = round(25 * away_s)
    job_id = fleet.submit(SMALL, epochs=epochs)
    fleet.training(job_id)

    redis.kill()
    back_at = time.monotonic() + away_s
    until(lambda: time.monotonic() > back_at, "it has been away for long enough", seconds=away_s + 10)
    fleet.start_redis()

    job = fleet.finished(job_id)
    assert (job.status, outcomes(job)) == (Status.SUCCEEDED, [(1, "succeeded")])
    assert fleet.epochs(job_id) == list(range(1, epochs + 1))
    fleet.found = "one run, succeeded; every epoch of the curve is there once"


def test_a_runner_that_stood_still_past_its_lease_finds_its_writes_refused_and_its_engine_ended(fleet: Fleet) -> None:
    fleet.lease_s = 2.0
    fleet.start_redis()
    fleet.start_keeper()
    workers = fleet.start_workers("one", "other")
    job_id = fleet.submit(SMALL, epochs=200)
    fleet.training(job_id)
    [first, second] = sorted(workers, key=lambda worker: not worker.engines())
    stale = first.engine()
    [runner] = first.runners()

    with frozen(runner):
        fleet.until_job(job_id, lambda job: len(job.attempts) == 2, "is taken over")
        second.engine()
        assert alive([stale])
    until(lambda: not alive([stale]), "the stale engine is gone", seconds=30)

    job = fleet.finished(job_id)
    assert [(run.outcome, run.worker.split("@")[0]) for run in job.attempts] == [
        ("lost", first.name),
        ("succeeded", second.name),
    ]
    assert "lease lost" in first.log
    # the epoch that was recorded last before its checkpoint was may be there of both runs
    assert list(dict.fromkeys(fleet.epochs(job_id))) == list(range(1, 201))
    assert {artifact.name for artifact in job.artifacts} >= {"model.safetensors"}
    tokens = [int(entry.split("-")[0]) for entry, _ in fleet.record(job_id).points]
    assert tokens == sorted(tokens)
    until(lambda: fleet.redis.hlen(Keys().key("slots", job.attempts[0].worker)) == 0, "its device is free again")
    fleet.found = "taken over and finished by the other worker; what the first one sent was refused, its engine ended"


@pytest.mark.parametrize(("jobs", "times"), [(40, 3)])
def test_bells_that_are_all_forgotten_are_rung_again(fleet: Fleet, jobs: int, times: int) -> None:
    fleet.start(slots=2)
    first = fleet.submit(ENDLESS)
    fleet.training(first)
    ids = [fleet.submit(TINY) for _ in range(jobs)]
    deleted = 0

    for time_of in range(times):
        until(lambda share=time_of: _ended(fleet, ids) >= jobs * share // times, "jobs end", seconds=60)
        bells = [
            key for pattern in ("bells.*", "unacked*", "_kombu*") for key in fleet.redis.keys(Keys().prefix + pattern)
        ]
        deleted += fleet.redis.delete(*bells) if bells else 0

    ended = [fleet.finished(job_id) for job_id in ids]
    assert {(job.status, len(job.attempts)) for job in ended} == {(Status.SUCCEEDED, 1)}
    assert deleted > 0
    fleet.found = f"{deleted} keys of Celery were deleted; all {jobs} jobs succeeded, each in one run"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kills", "posts"), [(3, 30)])
def test_a_job_that_was_accepted_survives_a_redis_that_is_killed_again_and_again(
    fleet: Fleet, kills: int, posts: int
) -> None:
    accepted: list[str] = []
    over = threading.Event()

    def post(url: str) -> None:
        with Client(url, timeout_s=20, retry_s=60) as client:
            while not over.is_set():
                accepted.append(client.submit(TINY).id)

    with house(fleet.folder / "data", "--workers", "2") as running:
        posting = [threading.Thread(target=post, args=(running.url,)) for _ in range(2)]
        for thread in posting:
            thread.start()
        try:
            for kill in range(kills):
                enough = posts * (kill + 1) // (kills + 1)
                until(lambda enough=enough: len(accepted) >= enough, "jobs are accepted", seconds=60)
                redis = running.child("valkey")
                redis.kill()
                running.new_child("valkey", redis)
            until(lambda: len(accepted) >= posts, "jobs are accepted", seconds=60)
        finally:
            over.set()
            for thread in posting:
                thread.join(60)
        with Client(running.url, retry_s=30) as client:
            known = [client.wait(job.id, timeout_s=90) for job in list(client.list())]

    ids = [job.id for job in known]
    assert len(ids) == len(set(ids))
    assert len(accepted) == len(set(accepted))
    assert set(accepted) == set(ids)
    assert {job.status for job in known} == {Status.SUCCEEDED}
    assert {[run.outcome for run in job.attempts].count("succeeded") for job in known} == {1}
    fleet.found = f"{len(accepted)} jobs accepted, each known once and no other; all succeeded"


def _checkpoint_files(fleet: Fleet, job_id: str) -> list[object]:
    return list((fleet.artifacts / "jobs" / job_id).glob("*/checkpoint-*.pt"))


def _ended(fleet: Fleet, ids: list[str]) -> int:
    with suppress(LedgerUnavailable):
        return sum(fleet.job(job_id).terminal for job_id in ids)
    return 0
