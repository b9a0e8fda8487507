"""Every pair of state and event, tried against a real server and held to the one table of states."""

from collections.abc import Callable

import pytest

from ledger import CheckpointMissing, EventRefused, Lease, LeaseLost, Ledger, chores, runs, transitions
from lowland.spec import TRANSITIONS, Event, Status
from lowland.spec.states import FULFILLED
from tests.ledger.playing import claim, claimed, job, settle, submit


def to_queued(ledger: Ledger) -> str:
    return submit(ledger)


def to_running(ledger: Ledger) -> str:
    submit(ledger)
    return claimed(ledger).job_id


def to_paused(ledger: Ledger) -> str:
    job_id = submit(ledger)
    ledger.run(transitions.ask(job_id, Event.PAUSE))
    return job_id


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
    ledger.run(transitions.ask(job_id, Event.CANCEL))
    return job_id


INTO: dict[Status, Callable[[Ledger], str]] = {
    Status.QUEUED: to_queued,
    Status.RUNNING: to_running,
    Status.PAUSED: to_paused,
    Status.SUCCEEDED: to_succeeded,
    Status.FAILED: to_failed,
    Status.CANCELLED: to_cancelled,
}


def a_worker_claims(ledger: Ledger, job_id: str) -> bool:
    lease = claim(ledger, worker="w2", runner="r2")
    return lease is not None and lease.job_id == job_id


def its_worker_settles(ending: runs.Ending) -> Callable[[Ledger, str], bool]:
    def fire(ledger: Ledger, job_id: str) -> bool:
        lease = lease_of(ledger, job_id)
        before = job(ledger, job_id).status
        try:
            settle(ledger, lease, ending)
        except LeaseLost:
            return False
        return job(ledger, job_id).status != before

    return fire


def someone_asks(event: transitions.Asked) -> Callable[[Ledger, str], bool]:
    def fire(ledger: Ledger, job_id: str) -> bool:
        before = job(ledger, job_id)
        try:
            ledger.run(transitions.ask(job_id, event))
        except EventRefused:
            return False
        return job(ledger, job_id) != before

    return fire


def someone_retries(ledger: Ledger, job_id: str) -> bool:
    before = job(ledger, job_id)
    try:
        ledger.run(transitions.retry(job_id, from_checkpoint=False))
    except EventRefused:
        return False
    return job(ledger, job_id) != before


FIRE: dict[Event, Callable[[Ledger, str], bool]] = {
    Event.CLAIM: a_worker_claims,
    Event.PUT_BACK: its_worker_settles("stopped"),
    Event.SUCCEED: its_worker_settles("succeeded"),
    Event.FAIL: its_worker_settles("failed"),
    Event.PAUSE: someone_asks(Event.PAUSE),
    Event.RESUME: someone_asks(Event.RESUME),
    Event.RETRY: someone_retries,
    Event.CANCEL: someone_asks(Event.CANCEL),
}


#: What is only asked of a running job.
WISHES = {(Status.RUNNING, Event.PAUSE), (Status.RUNNING, Event.CANCEL)}


def test_every_state_and_every_event_is_tried() -> None:
    assert INTO.keys() == set(Status)
    assert FIRE.keys() == set(Event)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", INTO)
def test_an_event_moves_a_job_exactly_where_the_table_says(ledger: Ledger, status: Status, event: Event) -> None:
    job_id = INTO[status](ledger)
    assert job(ledger, job_id).status == status

    fired = FIRE[event](ledger, job_id)

    expected = TRANSITIONS[event].get(status)
    assert fired == (expected is not None)
    if expected is not None and (status, event) not in WISHES:
        assert job(ledger, job_id).status == expected


@pytest.mark.parametrize("event", FULFILLED)
@pytest.mark.parametrize("status", INTO)
def test_asking_for_what_is_so_already_is_no_mistake_and_anything_else_is_refused(
    ledger: Ledger, status: Status, event: Event
) -> None:
    job_id = INTO[status](ledger)
    before = job(ledger, job_id)
    call = (
        transitions.retry(job_id, from_checkpoint=False) if event == Event.RETRY else transitions.ask(job_id, event)  # pyright: ignore[reportArgumentType]
    )

    if status in FULFILLED[event]:
        assert ledger.run(call) == before
    elif status not in TRANSITIONS[event]:
        with pytest.raises(EventRefused, match=f"is {status}; {event} is possible for a job that is"):
            ledger.run(call)
        assert job(ledger, job_id) == before


@pytest.mark.parametrize(("wish", "status"), [(Event.CANCEL, Status.CANCELLED), (Event.PAUSE, Status.PAUSED)])
def test_a_wish_is_fulfilled_by_the_worker_once_its_engine_has_stopped(
    ledger: Ledger, wish: transitions.Asked, status: Status
) -> None:
    submit(ledger)
    lease = claimed(ledger)

    asked = ledger.run(transitions.ask(lease.job_id, wish))
    assert (asked.status, asked.requested) == (Status.RUNNING, wish)
    assert ledger.run(runs.renew(lease, lease_ms=1000)) == wish
    assert settle(ledger, lease, "stopped") == status
    after = job(ledger, lease.job_id)
    assert (after.requested, after.attempts[0].outcome) == (None, status)


@pytest.mark.parametrize("ending", ["lost", "stopped"])
def test_a_pause_that_was_taken_back_leaves_the_job_running_or_queued_again(
    ledger: Ledger, ending: runs.Ending
) -> None:
    submit(ledger)
    lease = claimed(ledger)
    ledger.run(transitions.ask(lease.job_id, Event.PAUSE))

    after = ledger.run(transitions.ask(lease.job_id, Event.RESUME))

    assert (after.status, after.requested) == (Status.RUNNING, None)
    assert settle(ledger, lease, ending) == Status.QUEUED


def test_what_is_being_cancelled_can_be_neither_paused_nor_resumed(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger)
    ledger.run(transitions.ask(lease.job_id, Event.CANCEL))

    for event in (Event.PAUSE, Event.RESUME):
        with pytest.raises(EventRefused, match=f"is being cancelled; {event} is not possible"):
            ledger.run(transitions.ask(lease.job_id, event))
    assert settle(ledger, lease, "lost") == Status.CANCELLED


def test_a_paused_job_that_is_resumed_goes_on_without_having_spent_an_attempt(ledger: Ledger) -> None:
    job_id = submit(ledger, max_attempts=1)
    lease = claimed(ledger)
    ledger.run(transitions.ask(job_id, Event.PAUSE))
    settle(ledger, lease, "stopped")

    assert claim(ledger) is None
    ledger.run(transitions.ask(job_id, Event.RESUME))

    again = claimed(ledger)
    assert (again.job_id, again.attempt, again.token) == (job_id, 1, 2)


def test_a_retried_job_starts_over_with_as_many_attempts_as_before(ledger: Ledger) -> None:
    job_id = submit(ledger, max_attempts=2)
    for _ in range(2):
        lease = claimed(ledger)
        ledger.run(runs.report(lease, 1, lease_ms=1000, fields={"accuracy": "0.5"}))
        settle(ledger, lease, "lost")
    assert job(ledger, job_id).status == Status.FAILED

    queued = ledger.run(transitions.retry(job_id, from_checkpoint=False))

    assert (queued.status, queued.accuracy, queued.error, queued.finished_at) == (Status.QUEUED, None, None, None)
    assert [claimed(ledger).attempt, settle(ledger, lease_of(ledger, job_id), "lost")] == [3, Status.QUEUED]
    assert [claimed(ledger).attempt, settle(ledger, lease_of(ledger, job_id), "lost")] == [4, Status.FAILED]


def test_a_job_is_retried_from_its_checkpoint_only_if_it_has_one(ledger: Ledger) -> None:
    job_id = to_failed(ledger)
    with pytest.raises(CheckpointMissing, match="has no checkpoint to go on from; retry it from the start"):
        ledger.run(transitions.retry(job_id, from_checkpoint=True))
    assert job(ledger, job_id).status == Status.FAILED

    ledger.run(transitions.retry(job_id, from_checkpoint=False))
    lease = claimed(ledger)
    checkpoint = runs.Checkpoint(token=lease.token, name="a.pt", size_bytes=1, sha256="0" * 64, step=3)
    fields = {"checkpoints": runs.write_checkpoints([checkpoint]), "accuracy": "0.5"}
    ledger.run(runs.report(lease, 1, lease_ms=1000, fields=fields))
    settle(ledger, lease, "failed")

    assert ledger.run(transitions.retry(job_id, from_checkpoint=True)).accuracy == 0.5
    assert claimed(ledger).checkpoints == (checkpoint,)


def test_a_run_that_is_lost_before_its_engine_was_started_has_spent_no_attempt(ledger: Ledger) -> None:
    submit(ledger, max_attempts=1)

    assert settle(ledger, claimed(ledger, begin=False), "lost") == Status.QUEUED
    assert settle(ledger, claimed(ledger), "lost") == Status.FAILED


def lease_of(ledger: Ledger, job_id: str) -> Lease:
    """The lease of a job's latest run."""
    seen = job(ledger, job_id)
    return Lease(
        job_id=job_id,
        token=len(seen.attempts) or 1,
        attempt=seen.attempt,
        worker="w1",
        device="cpu:0",
        device_model="a CPU",
        former_model="",
        spec=seen.spec,
        checkpoints=(),
    )


def test_a_refused_retry_is_refused_again_and_leaves_a_packed_job_packed(ledger: Ledger) -> None:
    job_id = to_failed(ledger)
    record = ledger.run(chores.read_record(job_id))
    assert ledger.run(chores.pack_job(record))
    call = transitions.retry(job_id, from_checkpoint=True)

    for _ in range(2):
        with pytest.raises(CheckpointMissing):
            ledger.run(call)

    assert ledger.run(chores.read_record(job_id)).fields == record.fields | {"packed": "1"}
