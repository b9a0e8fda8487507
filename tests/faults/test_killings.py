"""Engines, runners, workers and keepers are killed; no job is lost, and none is run to its end twice."""

import os
import random
import signal
import time
from contextlib import suppress

import psutil
import pytest

from ledger import Keys
from lowland.spec import Status
from tests.faults.fleet import ENDLESS, SMALL, TINY, Fleet, Part, outcomes, weights_of
from tests.stack.house import alive
from tests.waiting import until


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("jobs", "kills"), [(150, 25)])
def test_no_job_is_lost_or_done_twice_while_engines_and_runners_are_killed(fleet: Fleet, jobs: int, kills: int) -> None:
    worker = fleet.start(slots=2)
    ids = [fleet.submit(TINY, max_attempts=20) for _ in range(jobs)]

    for kill in range(kills):
        # spread over the run: each when its share of the jobs has ended
        until(lambda share=kill: _ended(fleet) >= jobs * share // (kills + 1), "jobs end", seconds=60)
        until(lambda: _kill_one_of(worker), "something is there to be killed", seconds=30, poll_s=0)

    ended = [fleet.finished(job_id) for job_id in ids]
    runs = [outcome for job in ended for _, outcome in outcomes(job)]
    events = [fields["event"] for job_id in ids for _, fields in fleet.record(job_id).events]
    assert {job.status for job in ended} == {Status.SUCCEEDED}
    assert [runs.count("succeeded"), events.count("succeeded")] == [jobs, jobs]
    assert {"failed", "cancelled"}.isdisjoint(events)
    fleet.found = f"{jobs} jobs succeeded, each once; {runs.count('lost')} runs were lost and repeated"


def test_a_worker_that_is_told_to_stop_mid_epoch_puts_its_job_back_and_the_weights_are_as_if_it_had_not(
    fleet: Fleet,
) -> None:
    spec = {**SMALL, "epochs": 2, "batch_size": 1}
    worker = fleet.start()
    uninterrupted = fleet.finished(fleet.submit(spec))
    job_id = fleet.submit(spec)
    fleet.training(job_id)
    engine = worker.engine()

    told_at = time.monotonic()
    worker.process.terminate()

    assert worker.process.wait(fleet.grace_s + 10) == 0
    took_s = time.monotonic() - told_at
    assert not alive([engine])
    put_back = fleet.job(job_id)
    assert (put_back.status, outcomes(put_back)) == (Status.QUEUED, [(1, "put_back")])
    [latest, *_] = fleet.checkpoints(job_id)
    fleet.start_worker()
    job = fleet.finished(job_id)
    assert outcomes(job) == [(1, "put_back"), (1, "succeeded")]
    assert weights_of(job) == weights_of(uninterrupted)
    fleet.found = f"stopped at step {latest.step} within {took_s:.1f} s, no attempt spent; the same weights afterwards"


def test_a_stop_that_reaches_worker_runners_and_engines_all_at_once_cuts_no_engine_off(fleet: Fleet) -> None:
    worker = fleet.start(slots=2)
    ids = [fleet.submit(ENDLESS) for _ in range(2)]
    for job_id in ids:
        fleet.training(job_id)
    engines = worker.engines()

    for engine in engines:  # which have process groups of their own
        engine.terminate()
    os.killpg(worker.pid, signal.SIGTERM)

    worker.process.wait(fleet.grace_s + 10)
    assert len(engines) == 2
    assert not alive(engines)
    jobs = [fleet.job(job_id) for job_id in ids]
    assert [(job.status, outcomes(job)) for job in jobs] == [(Status.QUEUED, [(1, "put_back")])] * 2
    for job in jobs:
        [latest, *_] = fleet.checkpoints(job.id)
        assert job.progress is not None
        assert latest.step >= job.progress.step
        assert fleet.is_whole(job.id, latest)
    fleet.found = "both engines wrote their checkpoints; both jobs queued again, no attempt spent"


@pytest.mark.parametrize("jobs", [12])
def test_with_two_keepers_and_two_workers_one_of_each_suffices(fleet: Fleet, jobs: int) -> None:
    fleet.start_redis()
    keepers = [fleet.start_keeper(f"keeper-{n}") for n in range(2)]
    workers = fleet.start_workers("first", "second")
    trained = fleet.submit(SMALL, epochs=120)
    fleet.training(trained)
    [at_work] = [worker for worker in workers if worker.engines()]
    ids = [trained, *(fleet.submit(TINY) for _ in range(jobs))]

    for victim in (keepers[0], at_work):
        victim.kill()

    ended = [fleet.finished(job_id) for job_id in ids]
    assert {job.status for job in ended} == {Status.SUCCEEDED}
    assert outcomes(ended[0]) == [(1, "lost"), (2, "succeeded")]
    for job_id in ids:
        assert fleet.record(job_id).fields["status"] == Status.SUCCEEDED
    assert fleet.redis.zcard(Keys().key("leases")) == 0
    fleet.found = f"{len(ids)} jobs succeeded and are recorded; the dead worker's job was taken over by the other"


@pytest.mark.parametrize("attempts", [3])
def test_a_job_whose_engine_is_killed_each_time_fails_after_exactly_max_attempts_with_the_reason(
    fleet: Fleet, attempts: int
) -> None:
    worker = fleet.start()
    job_id = fleet.submit(ENDLESS, max_attempts=attempts)
    killed: set[int] = set()

    def is_over() -> bool:
        for engine in worker.engines():
            killed.add(engine.pid)
            with suppress(psutil.NoSuchProcess):  # seen a second time, on its way out
                engine.kill()
        return fleet.job(job_id).terminal

    until(is_over, "the job fails", seconds=60, poll_s=0.005)

    job = fleet.job(job_id)
    assert (job.status, outcomes(job)) == (Status.FAILED, [(n + 1, "lost") for n in range(attempts)])
    assert job.error is not None
    assert job.error.type == "engine-died"
    assert "was killed by SIGKILL" in job.error.detail
    assert len(killed) == attempts
    fleet.found = f"failed after {attempts} attempts: {job.error.detail}"


@pytest.mark.parametrize("kills", [2])
def test_a_runner_killed_while_a_checkpoint_is_written_leaves_the_one_before_to_go_on_from(
    fleet: Fleet, kills: int
) -> None:
    spec = {**SMALL, "model": {"name": "mlp", "width": 1024}, "epochs": 3 * kills, "max_attempts": kills + 3}
    worker = fleet.start()
    undisturbed = fleet.finished(fleet.submit(spec))
    job_id = fleet.submit(spec)
    left, stood_at = 0, 0

    for kill in range(kills):
        fleet.until_job(job_id, lambda job, n=kill: len(job.attempts) > n, "runs again")
        until(lambda floor=stood_at: _latest_step(fleet, job_id) > floor, "a new checkpoint counts", seconds=60)
        known = set(fleet.half_files())
        [writing, *_] = until(lambda known=known: set(fleet.half_files()) - known, "one is written", poll_s=0)
        [runner] = worker.runners()
        engines = worker.engines()
        runner.kill()
        until(lambda engines=engines: not alive(engines), "the engine is gone too")
        left += writing.exists()
        counting = fleet.checkpoints(job_id)
        stood_at = counting[0].step
        assert all(fleet.is_whole(job_id, one) for one in counting)

    job = fleet.finished(job_id)
    assert outcomes(job) == [*((n + 1, "lost") for n in range(kills)), (kills + 1, "succeeded")]
    assert [notice.type for notice in job.notices] == []
    assert weights_of(job) == weights_of(undisturbed)
    fleet.found = f"{left} of {kills} kills left half a file; none counted, the weights are those without kills"


def _ended(fleet: Fleet) -> int:
    return fleet.redis.zcard(Keys().key("finished"))  # pyright: ignore[reportReturnType]  redis-py is partly typed


def _kill_one_of(worker: Part) -> bool:
    victims = random.choice([worker.engines, worker.engines, worker.runners])()
    if victims:
        with suppress(psutil.NoSuchProcess):
            random.choice(victims).kill()
            return True
    return False


def _latest_step(fleet: Fleet, job_id: str) -> int:
    return max((one.step for one in fleet.checkpoints(job_id)), default=0)
