"""Who may write to a job, until when."""

import pytest

from ledger import LeaseLost, Ledger, reads, transitions
from lowland.spec import Status
from tests.ledger.playing import LOST, claim, claimed, job, settle, submit
from tests.waiting import until


def expire(ledger: Ledger) -> list[transitions.Ended]:
    return ledger.run(transitions.expire(failure=LOST))


def expired(ledger: Ledger) -> list[transitions.Ended]:
    return until(lambda: expire(ledger), "a lease expires", seconds=5)


def test_a_lease_that_is_renewed_does_not_expire(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger, lease_ms=1)

    ledger.run(transitions.renew(lease, lease_ms=60_000))

    assert expire(ledger) == []


def test_a_lease_that_ran_out_ends_the_run_as_lost(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed(ledger, lease_ms=1)

    assert expired(ledger) == [transitions.Ended(job_id, Status.QUEUED)]
    assert job(ledger, job_id).attempts[0].outcome == "lost"


def test_a_late_renewal_is_good_until_the_keeper_has_expired_the_lease(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger, lease_ms=1)
    until(lambda: ledger.run(reads.overview()), "a millisecond passes")

    ledger.run(transitions.renew(lease, lease_ms=60_000))

    assert expire(ledger) == []


def test_a_wish_is_fulfilled_when_the_lease_runs_out(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed(ledger, lease_ms=1)
    ledger.run(transitions.cancel(job_id))

    assert expired(ledger) == [transitions.Ended(job_id, Status.CANCELLED)]


def test_a_worker_that_lost_its_lease_can_write_nothing(ledger: Ledger) -> None:
    job_id = submit(ledger)
    stale = claimed(ledger, worker="w1", lease_ms=1)
    expired(ledger)
    claimed(ledger, worker="w2")
    before = job(ledger, job_id)

    with pytest.raises(LeaseLost):
        ledger.run(transitions.report(stale, 1, lease_ms=1000, fields={"accuracy": "1.0"}, point="{}"))
    with pytest.raises(LeaseLost):
        ledger.run(transitions.renew(stale, lease_ms=1000))
    with pytest.raises(LeaseLost):
        settle(ledger, stale, "succeeded")
    assert job(ledger, job_id) == before


def test_a_stale_worker_learns_that_its_lease_is_lost_also_when_it_settles_with_the_same_outcome(
    ledger: Ledger,
) -> None:
    submit(ledger)
    stale = claimed(ledger, lease_ms=1)
    expired(ledger)

    with pytest.raises(LeaseLost):
        settle(ledger, stale, "lost")


def test_the_device_of_an_expired_run_stays_taken_until_its_machine_frees_it(ledger: Ledger) -> None:
    submit(ledger)
    stale = claimed(ledger, lease_ms=1)
    expired(ledger)

    assert claim(ledger) is None
    ledger.run(transitions.vacate(stale))
    assert claimed(ledger).attempt == 2


def test_a_late_vacate_does_not_free_a_device_that_is_in_use_again(ledger: Ledger) -> None:
    submit(ledger)
    submit(ledger)
    first = claimed(ledger)
    settle(ledger, first, "succeeded")
    claimed(ledger)

    ledger.run(transitions.vacate(first))

    assert claim(ledger) is None


def test_the_run_of_a_dead_runner_is_ended_by_its_worker_and_bell(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed(ledger, worker="w1", bell="b7")

    assert ledger.run(transitions.abandon(worker="w1", bell="b8", failure=LOST)) is None
    assert ledger.run(transitions.abandon(worker="w2", bell="b7", failure=LOST)) is None
    ended = ledger.run(transitions.abandon(worker="w1", bell="b7", failure=LOST))

    assert ended == transitions.Ended(job_id, Status.QUEUED)
    assert claimed(ledger).attempt == 2


def test_a_worker_that_starts_anew_ends_the_runs_of_the_former_one(ledger: Ledger) -> None:
    job_id = submit(ledger)
    other = submit(ledger)
    claimed(ledger, worker="w1")
    claimed(ledger, worker="w2")

    ended = ledger.run(transitions.enroll(worker="w1", classes=["any"], devices=["cpu:0"], failure=LOST))

    assert ended == [transitions.Ended(job_id, Status.QUEUED)]
    assert job(ledger, other).status == Status.RUNNING
    assert claimed(ledger, worker="w1").job_id == job_id


def test_an_unknown_worker_is_told_to_enroll(ledger: Ledger) -> None:
    assert not ledger.run(transitions.heartbeat("w1"))
    ledger.run(transitions.enroll(worker="w1", classes=["any"], devices=["cpu:0"], failure=LOST))
    assert ledger.run(transitions.heartbeat("w1"))
    assert ledger.run(reads.overview()).live_workers == 1

    ledger.run(transitions.leave("w1"))

    assert ledger.run(reads.overview()).live_workers == 0
