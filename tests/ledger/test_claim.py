"""Which job a claim gives, to whom."""

import pytest

from ledger import Ledger, chores, runs, transitions
from lowland.spec.resource import QueuePlace
from tests.ledger.playing import LOST, claim, claimed, enroll, job, machine, settle, submit


def test_nothing_is_claimed_from_an_empty_ledger(ledger: Ledger) -> None:
    assert claim(ledger) is None


def test_the_oldest_job_is_claimed_first(ledger: Ledger) -> None:
    first, second = submit(ledger), submit(ledger)

    assert claimed(ledger, worker="w1").job_id == first
    assert claimed(ledger, worker="w2").job_id == second


def test_a_higher_priority_goes_before_age(ledger: Ledger) -> None:
    submit(ledger, priority=-1)
    submit(ledger)
    urgent = submit(ledger, priority=100)

    assert claimed(ledger).job_id == urgent


def test_the_owner_with_the_fewest_running_jobs_goes_before_age(ledger: Ledger) -> None:
    submit(ledger, owner="ada")
    submit(ledger, owner="ada")
    later = submit(ledger, owner="bob")
    claimed(ledger, worker="w1")

    assert claimed(ledger, worker="w2").job_id == later


@pytest.mark.parametrize(
    ("device", "classes", "fits"),
    [
        ("auto", ("any", "cpu"), True),
        ("auto", ("any", "cuda"), True),
        ("cpu", ("any", "cpu"), True),
        ("cpu", ("any", "cuda"), False),
        ("cuda", ("any", "cpu"), False),
    ],
)
def test_a_machine_claims_only_jobs_of_its_classes(
    ledger: Ledger, device: str, classes: tuple[str, ...], fits: bool
) -> None:
    submit(ledger, resources={"device": device})

    assert (claim(ledger, offers=machine(classes=classes)) is not None) == fits


def test_a_machine_runs_as_many_jobs_as_it_has_devices(ledger: Ledger) -> None:
    for _ in range(3):
        submit(ledger)
    both = machine("cpu:0", "cpu:1")

    leases = [claimed(ledger, runner=runner, offers=both) for runner in ("r1", "r2")]

    assert [lease.device for lease in leases] == ["cpu:0", "cpu:1"]
    assert claim(ledger, runner="r3", offers=both) is None
    settle(ledger, leases[0], "succeeded")
    assert claimed(ledger, runner="r3", offers=both).device == "cpu:0"


def test_a_job_of_several_devices_waits_until_so_many_are_free_and_frees_them_all(ledger: Ledger) -> None:
    both = machine("cpu:0", "cpu:1")
    narrow, wide, last = submit(ledger), submit(ledger, resources={"world_size": 2}), submit(ledger)
    first = claimed(ledger, runner="r1", offers=both)
    second = claimed(ledger, runner="r2", offers=both)
    assert (first.job_id, second.job_id) == (narrow, last)

    settle(ledger, first, "succeeded")
    assert claim(ledger, runner="r1", offers=both) is None
    settle(ledger, second, "succeeded")
    lease = claimed(ledger, runner="r1", offers=both)

    assert (lease.job_id, lease.device) == (wide, "cpu:0,cpu:1")
    assert claim(ledger, runner="r2", offers=both) is None
    settle(ledger, lease, "succeeded")
    submit(ledger)
    assert claimed(ledger, runner="r2", offers=both).device == "cpu:0"


def test_a_job_is_claimed_once_however_often_the_bell_rings(ledger: Ledger) -> None:
    job_id = submit(ledger)

    assert claimed(ledger, worker="w1").job_id == job_id
    assert claim(ledger, worker="w2") is None


def test_a_lost_run_is_an_attempt_and_the_job_runs_again(ledger: Ledger) -> None:
    job_id = submit(ledger, max_attempts=2)

    settle(ledger, claimed(ledger), "lost")
    again = claimed(ledger)

    assert (again.job_id, again.attempt, again.token) == (job_id, 2, 2)
    assert settle(ledger, again, "lost") == "failed"
    failed = job(ledger, job_id)
    assert failed.error is not None
    assert failed.error.type == LOST.type
    assert [attempt.outcome for attempt in failed.attempts] == ["lost", "lost"]


def test_a_run_that_was_put_back_has_spent_no_attempt_and_keeps_its_place(ledger: Ledger) -> None:
    first = submit(ledger, max_attempts=1)
    submit(ledger)

    settle(ledger, claimed(ledger), "stopped")
    again = claimed(ledger)

    assert (again.job_id, again.attempt, again.token) == (first, 1, 2)


def test_a_new_run_goes_on_from_the_recorded_checkpoints(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger)
    checkpoints = tuple(
        runs.Checkpoint(token=1, name=f"step-{step}.pt", size_bytes=7, sha256="0" * 64, step=step) for step in (24, 12)
    )
    fields = {"checkpoints": runs.write_checkpoints(checkpoints)}
    ledger.run(runs.report(lease, 1, lease_ms=1000, fields=fields))

    settle(ledger, lease, "lost")

    assert claimed(ledger).checkpoints == checkpoints


def test_a_queued_job_tells_its_place_and_what_it_waits_for(ledger: Ledger) -> None:
    first, second, third = submit(ledger), submit(ledger), submit(ledger)
    reasons = [job(ledger, job_id).queue for job_id in (first, second, third)]
    assert [(place.position, place.reason) for place in reasons if place] == [
        (1, "no live worker offers any device"),
        (2, "no live worker offers any device"),
        (3, "no live worker offers any device"),
    ]

    enroll(ledger)

    reasons = [job(ledger, job_id).queue for job_id in (first, second, third)]
    assert [place.reason for place in reasons if place] == [
        "next for a free device",
        "1 job ahead",
        "2 jobs ahead",
    ]


def test_a_job_wider_than_every_live_worker_says_so(ledger: Ledger) -> None:
    enroll(ledger)
    submit(ledger, priority=1)
    wide = submit(ledger, resources={"world_size": 2})

    narrow_only = job(ledger, wide).queue
    enroll(ledger, "w2", offers=machine("cpu:0", "cpu:1"))
    with_room = job(ledger, wide).queue

    assert narrow_only == QueuePlace(position=2, reason="needs 2 devices; the largest live worker has 1")
    assert with_room == QueuePlace(position=2, reason="1 job of higher priority")


def test_a_claim_whose_answer_was_lost_is_answered_again_also_much_later(ledger: Ledger) -> None:
    job_id = submit(ledger)
    submit(ledger)
    lease = claimed(ledger, claim_id="c1", lease_ms=60_000)
    ledger.run(runs.renew(lease, lease_ms=60_000))

    assert claimed(ledger, claim_id="c1") == lease
    assert lease.job_id == job_id


def test_a_claim_that_is_repeated_when_its_run_is_over_gives_nothing(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger, claim_id="c1")
    settle(ledger, lease, "failed")
    assert ledger.run(chores.pack_job(ledger.run(chores.read_record(lease.job_id))))

    assert claim(ledger, claim_id="c1") is None


def test_of_very_many_runs_the_latest_are_kept_and_the_job_is_packed_and_retried_all_the_same(ledger: Ledger) -> None:
    job_id = submit(ledger)
    for _ in range(1100):
        settle(ledger, claimed(ledger), "stopped")
    settle(ledger, claimed(ledger), "failed")
    assert len(job(ledger, job_id).attempts) == 100

    assert ledger.run(chores.pack_job(ledger.run(chores.read_record(job_id))))
    ledger.run(transitions.retry(job_id, from_checkpoint=False))

    assert claimed(ledger).token == 1102


def test_a_runner_that_claims_holds_nothing_from_before(ledger: Ledger) -> None:
    """It broke off, or never heard that its claim was granted: the device is free, and the job runs again."""
    job_id = submit(ledger)
    claimed(ledger, runner="r1")

    again = claimed(ledger, runner="r1")

    assert (again.job_id, again.attempt) == (job_id, 2)
