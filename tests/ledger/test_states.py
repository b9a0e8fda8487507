"""Every pair of state and event, tried against a real server and held to the one table of states."""

from collections.abc import Callable

import pytest

from ledger import EventRefused, LeaseLost, Ledger, transitions
from lowland.spec import TRANSITIONS, Event, Status
from lowland.spec.states import Outcome
from tests.ledger.playing import SPEC_JOB, claim, claimed, job, settle, submit


def to_queued(ledger: Ledger) -> str:
    return submit(ledger)


def to_running(ledger: Ledger) -> str:
    submit(ledger)
    return claimed(ledger).job_id


def to_succeeded(ledger: Ledger) -> str:
    submit(ledger)
    lease = claimed(ledger)
    settle(ledger, lease, "succeeded")
    return lease.job_id


def to_failed(ledger: Ledger) -> str:
    submit(ledger)
    lease = claimed(ledger)
    settle(ledger, lease, "failed")
    return lease.job_id


def to_cancelled(ledger: Ledger) -> str:
    job_id = submit(ledger)
    ledger.run(transitions.cancel(job_id))
    return job_id


INTO: dict[Status, Callable[[Ledger], str]] = {
    Status.QUEUED: to_queued,
    Status.RUNNING: to_running,
    Status.SUCCEEDED: to_succeeded,
    Status.FAILED: to_failed,
    Status.CANCELLED: to_cancelled,
}


def a_worker_claims(ledger: Ledger, job_id: str) -> bool:
    lease = claim(ledger, worker="w2", runner="r2")
    return lease is not None and lease.job_id == job_id


def its_worker_settles(outcome: Outcome) -> Callable[[Ledger, str], bool]:
    def fire(ledger: Ledger, job_id: str) -> bool:
        token = len(job(ledger, job_id).attempts) or 1
        lease = transitions.Lease(
            job_id=job_id,
            token=token,
            attempt=1,
            worker="w1",
            device="cpu:0",
            spec=SPEC_JOB,
            checkpoints=(),
        )
        before = job(ledger, job_id).status
        try:
            settle(ledger, lease, outcome)
        except LeaseLost:
            return False
        return job(ledger, job_id).status != before

    return fire


def someone_cancels(ledger: Ledger, job_id: str) -> bool:
    before = job(ledger, job_id).status
    try:
        ledger.run(transitions.cancel(job_id))
    except EventRefused:
        return False
    after = job(ledger, job_id)
    return after.status != before or after.requested == "cancel"


FIRE: dict[Event, Callable[[Ledger, str], bool]] = {
    Event.CLAIM: a_worker_claims,
    Event.PUT_BACK: its_worker_settles("put_back"),
    Event.SUCCEED: its_worker_settles("succeeded"),
    Event.FAIL: its_worker_settles("failed"),
    Event.CANCEL: someone_cancels,
}


def test_every_reachable_state_and_every_event_is_tried() -> None:
    assert INTO.keys() == set(Status) - {Status.PAUSED}
    assert FIRE.keys() == set(Event)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", INTO)
def test_an_event_moves_a_job_exactly_where_the_table_says(ledger: Ledger, status: Status, event: Event) -> None:
    job_id = INTO[status](ledger)
    assert job(ledger, job_id).status == status

    fired = FIRE[event](ledger, job_id)

    expected = TRANSITIONS[event].get(status)
    assert fired == (expected is not None)
    if expected is not None and (status, event) != (Status.RUNNING, Event.CANCEL):
        assert job(ledger, job_id).status == expected


def test_a_running_job_is_cancelled_by_its_worker_once_that_was_asked_for(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger)

    asked = ledger.run(transitions.cancel(lease.job_id))
    assert (asked.status, asked.requested) == (Status.RUNNING, "cancel")
    assert ledger.run(transitions.renew(lease, lease_ms=1000)) == "cancel"
    assert settle(ledger, lease, "cancelled") == Status.CANCELLED
    assert job(ledger, lease.job_id).requested is None


def test_a_refusal_names_the_states_that_allow_the_event(ledger: Ledger) -> None:
    job_id = to_succeeded(ledger)

    with pytest.raises(EventRefused, match="is succeeded; cancel is possible for a job that is queued or running"):
        ledger.run(transitions.cancel(job_id))
