"""What an engine says and how it dies, and what becomes of its job."""

import time

import pytest

from ledger import Ledger, reads
from lowland.spec import Status
from lowland.spec.resource import Artifact
from tests.ledger.playing import submit
from tests.worker.engines import (
    ADVANCED,
    ARTIFACT,
    CHECKPOINT,
    EPOCH,
    FINISHED,
    PASSING,
    PERMANENT,
    STARTED,
    say,
)
from tests.worker.runner.playing import Play, alive, engine_pid


def test_a_bell_without_a_job_does_nothing(play: Play, ledger: Ledger) -> None:
    play("exit 1").runner.run_one()

    assert ledger.run(reads.list_jobs(limit=1)).jobs == []


def test_what_an_engine_reports_is_the_job(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(STARTED, ADVANCED, EPOCH, CHECKPOINT, ARTIFACT, FINISHED)).answer()

    assert job.status == Status.SUCCEEDED
    assert job.progress == ADVANCED.progress.model_copy(update={"eta_s": None})
    assert job.objective == FINISHED.objective
    assert (job.accuracy, job.best_accuracy, job.test_accuracy) == (0.75, 0.75, 0.7)
    assert job.metrics == {"train_loss": 0.5, "test_loss": 0.6}
    assert job.artifacts == [
        Artifact(
            name=ARTIFACT.name,
            size_bytes=ARTIFACT.size_bytes,
            sha256=ARTIFACT.sha256,
            media_type=ARTIFACT.media_type,
            href=f"/jobs/{job.id}/artifacts/{ARTIFACT.name}",
        )
    ]
    assert [(one.attempt, one.outcome, one.device) for one in job.attempts] == [(1, "succeeded", "cpu:0")]
    assert job.error is None


def test_an_engine_that_crashes_loses_the_run_and_the_job_is_queued_again(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(ADVANCED) + "kill -SEGV $$").answer()

    assert job.status == Status.QUEUED
    assert job.error is not None
    assert job.error.type == "engine-died"
    assert "killed by SIGSEGV; after step 5" in job.error.detail


def test_a_job_whose_engine_dies_each_time_fails_after_exactly_max_attempts(play: Play, ledger: Ledger) -> None:
    submit(ledger, max_attempts=3)
    played = play("exit 9")

    statuses = [played.answer().status for _ in range(4)]

    assert statuses == [Status.QUEUED, Status.QUEUED, Status.FAILED, Status.FAILED]
    assert [one.attempt for one in played.job().attempts] == [1, 2, 3]


def test_a_permanent_error_fails_the_job_at_once(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(PERMANENT) + "exit 1").answer()

    assert job.status == Status.FAILED
    assert job.error is not None
    assert (job.error.type, job.error.detail) == (PERMANENT.type, PERMANENT.detail)


def test_a_passing_error_costs_an_attempt(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    assert play(say(PASSING) + "exit 1").answer().status == Status.QUEUED


def test_an_engine_that_hangs_is_killed_with_its_children(play: Play, ledger: Ledger) -> None:
    submit(ledger, stall_timeout_s=0.3)
    played = play("trap '' TERM; sleep 600 & echo $! > $OUT/pid; wait; wait")

    job = played.answer()

    assert job.status == Status.QUEUED
    assert job.error is not None
    assert job.error.type == "engine-stalled"
    assert not alive(engine_pid(played))


def test_a_line_that_is_no_report_fails_the_attempt_and_is_quoted(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play("echo 'Segmentation fault, or so' >&$REPORTS; sleep 600").answer()

    assert job.status == Status.QUEUED
    assert job.error is not None
    assert job.error.type == "engine-garbage"
    assert "Segmentation fault, or so" in job.error.detail


def test_a_last_line_that_was_cut_is_dropped(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(FINISHED) + 'printf \'{"report": "prog\' >&$REPORTS').answer()

    assert job.status == Status.SUCCEEDED


def test_a_line_without_end_is_no_report(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play("head -c 1000000 /dev/zero >&$REPORTS; sleep 600").answer()

    assert job.error is not None
    assert job.error.type == "engine-garbage"


def test_a_flood_of_output_and_reports_is_taken_in(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    flood = f"for i in $(seq 3000); do {say(ADVANCED)} done\n"

    job = play("yes noise | head -c 20000000; " + flood + say(EPOCH, FINISHED)).answer()

    assert job.status == Status.SUCCEEDED
    assert job.progress == ADVANCED.progress.model_copy(update={"eta_s": None})


def test_a_slow_exit_is_waited_for_and_then_enforced(
    play: Play, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.supervision.LEAVE_S", 0.2)
    submit(ledger)
    started_at = time.monotonic()

    job = play(say(FINISHED) + "exec {REPORTS}>&-; exec sleep 600").answer()

    assert time.monotonic() - started_at < 10
    assert job.status == Status.QUEUED


def test_an_engine_that_died_is_noticed_though_something_it_started_holds_its_pipe(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(ADVANCED) + "sleep 600 & exit 3").answer()

    assert job.error is not None
    assert "ended with exit status 3; after step 5" in job.error.detail
