"""Who may write to a job, until when."""

import pytest
import redis

from ledger import (
    Displaced,
    Keys,
    LeaseLost,
    Ledger,
    NotEnrolled,
    Presence,
    presence,
    reads,
    runs,
    transitions,
)
from lowland.spec import Event, Status
from tests.ledger.playing import LOST, beat, claim, claimed, enroll, job, settle, submit
from tests.waiting import until


def expire(ledger: Ledger) -> list[runs.Ended]:
    return ledger.run(runs.expire(failure=LOST, lease_ms=0))


def expired(ledger: Ledger) -> list[runs.Ended]:
    return until(lambda: expire(ledger), "a lease expires", seconds=5)


def test_a_lease_that_is_renewed_does_not_expire(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger, lease_ms=0)

    ledger.run(runs.renew(lease, lease_ms=60_000))

    assert expire(ledger) == []


def test_a_lease_that_ran_out_ends_the_run_as_lost(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed(ledger, lease_ms=0)

    assert expired(ledger) == [runs.Ended(job_id, Status.QUEUED)]
    assert job(ledger, job_id).attempts[0].outcome == "lost"


def test_a_late_renewal_is_good_until_the_keeper_has_expired_the_lease(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger, lease_ms=0)

    ledger.run(runs.renew(lease, lease_ms=60_000))
    assert expire(ledger) == []

    ledger.run(runs.renew(lease, lease_ms=0))
    assert expired(ledger)
    with pytest.raises(LeaseLost):
        ledger.run(runs.renew(lease, lease_ms=60_000))


def test_a_wish_is_fulfilled_when_the_lease_runs_out(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed(ledger, lease_ms=0)
    ledger.run(transitions.ask(job_id, Event.CANCEL))

    assert expired(ledger) == [runs.Ended(job_id, Status.CANCELLED)]


def test_a_worker_that_lost_its_lease_can_write_nothing(ledger: Ledger) -> None:
    job_id = submit(ledger)
    stale = claimed(ledger, worker="w1", lease_ms=0)
    expired(ledger)
    claimed(ledger, worker="w2", runner="r2")
    before = job(ledger, job_id)

    with pytest.raises(LeaseLost):
        ledger.run(runs.report(stale, 1, lease_ms=1000, fields={"accuracy": "1.0"}, point="{}"))
    with pytest.raises(LeaseLost):
        ledger.run(runs.renew(stale, lease_ms=1000))
    with pytest.raises(LeaseLost):
        settle(ledger, stale, "succeeded")
    assert job(ledger, job_id) == before


def test_a_stale_worker_learns_that_its_lease_is_lost_also_when_it_settles_with_the_same_outcome(
    ledger: Ledger,
) -> None:
    submit(ledger)
    stale = claimed(ledger, lease_ms=0)
    expired(ledger)

    with pytest.raises(LeaseLost):
        settle(ledger, stale, "lost")


def test_the_device_of_an_expired_run_stays_taken_until_its_machine_frees_it(ledger: Ledger) -> None:
    submit(ledger)
    stale = claimed(ledger, lease_ms=0)
    expired(ledger)

    assert claim(ledger, runner="r2") is None
    ledger.run(runs.vacate(stale))
    assert claimed(ledger, runner="r2").attempt == 2


def test_a_late_vacate_does_not_free_a_device_that_is_in_use_again(ledger: Ledger) -> None:
    submit(ledger)
    submit(ledger)
    first = claimed(ledger)
    settle(ledger, first, "succeeded")
    claimed(ledger, runner="r2")

    ledger.run(runs.vacate(first))

    assert claim(ledger, runner="r3") is None


def test_the_run_of_a_dead_runner_is_ended_by_the_next_beat_of_its_worker(ledger: Ledger) -> None:
    job_id = submit(ledger)
    enroll(ledger)
    claimed(ledger, runner="r1")

    assert beat(ledger, runners=("r1", "r2")) == []
    assert beat(ledger, runners=("r2",)) == [runs.Ended(job_id, Status.QUEUED)]

    assert claimed(ledger, runner="r2").attempt == 2


def test_the_device_of_a_dead_runner_is_freed_also_when_its_lease_had_run_out_before(ledger: Ledger) -> None:
    submit(ledger)
    enroll(ledger)
    claimed(ledger, runner="r1", lease_ms=0)
    expired(ledger)
    assert claim(ledger, runner="r2") is None

    assert beat(ledger, runners=("r2",)) == []

    assert claimed(ledger, runner="r2").attempt == 2


def test_a_worker_that_starts_anew_ends_the_runs_of_the_former_one(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id = submit(ledger)
    other = submit(ledger)
    claimed(ledger, worker="w1", runner="old")
    claimed(ledger, worker="w2", runner="its own")

    silence(redis_url, keys)
    ended = enroll(ledger, "w1", incarnation="i2")

    assert ended == [runs.Ended(job_id, Status.QUEUED)]
    assert job(ledger, other).status == Status.RUNNING
    assert claimed(ledger, worker="w1", incarnation="i2", runner="new").job_id == job_id


def test_a_worker_that_enrolls_again_ends_no_run_of_its_living_runners(ledger: Ledger) -> None:
    job_id = submit(ledger)
    enroll(ledger, runners=("r1",))
    claimed(ledger, runner="r1")

    assert enroll(ledger, runners=("r1",)) == []

    assert job(ledger, job_id).status == Status.RUNNING


def test_an_unknown_worker_is_told_to_enroll(ledger: Ledger) -> None:
    with pytest.raises(NotEnrolled):
        beat(ledger)

    enroll(ledger)

    assert beat(ledger) == []
    assert ledger.run(reads.overview()).live_workers == 1


def silence(redis_url: str, keys: Keys, worker: str = "w1") -> None:
    """Let a worker's last heartbeat be long ago."""
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(keys.key("workers"), {worker: 0})


def test_a_name_is_not_given_away_while_its_worker_is_heard(ledger: Ledger) -> None:
    job_id = submit(ledger)
    enroll(ledger, incarnation="i1", runners=("r1",))
    claimed(ledger, runner="r1")

    with pytest.raises(Displaced, match="another worker has the name w1"):
        enroll(ledger, incarnation="i2")

    assert job(ledger, job_id).status == Status.RUNNING
    assert beat(ledger, incarnation="i1", runners=("r1",)) == []


def test_a_worker_whose_name_was_taken_is_told_so_and_cannot_sign_the_other_one_off(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    enroll(ledger, incarnation="i1")
    silence(redis_url, keys)
    enroll(ledger, incarnation="i2")

    with pytest.raises(Displaced):
        beat(ledger, incarnation="i1")
    ledger.run(presence.leave(Presence(worker="w1", incarnation="i1", runners=()), failure=LOST))
    assert ledger.run(reads.overview()).live_workers == 1

    ledger.run(presence.leave(Presence(worker="w1", incarnation="i2", runners=()), failure=LOST))
    assert ledger.run(reads.overview()).live_workers == 0


def test_what_a_worker_could_not_settle_is_ended_when_it_leaves(ledger: Ledger) -> None:
    job_id = submit(ledger)
    enroll(ledger, runners=("r1",))
    claimed(ledger, runner="r1")

    ledger.run(presence.leave(Presence(worker="w1", incarnation="i1", runners=()), failure=LOST))

    assert job(ledger, job_id).status == Status.QUEUED
    assert claimed(ledger, runner="r2").attempt == 2


def test_a_worker_that_comes_back_after_days_ends_what_it_left(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id = submit(ledger)
    enroll(ledger, incarnation="i1", runners=("r1",))
    claimed(ledger, runner="r1")
    silence(redis_url, keys)

    assert enroll(ledger, incarnation="i2") == [runs.Ended(job_id, Status.QUEUED)]


def test_workers_that_never_come_back_are_forgotten(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    enroll(ledger, "w1")
    silence(redis_url, keys)

    enroll(ledger, "w2")

    with pytest.raises(NotEnrolled):
        beat(ledger, "w1")
