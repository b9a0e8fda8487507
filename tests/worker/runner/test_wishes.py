"""What is asked of a running job: cancel, drain, and the end of its time."""

from ledger import Ledger, transitions
from lowland.spec import Event, Status
from tests.ledger.playing import submit
from tests.worker.engines import (
    CHECKPOINT,
    FINISHED,
    read,
    say,
)
from tests.worker.runner.playing import Play, alive, engine_pid


def test_a_cancelled_job_stops_its_engine(play: Play, ledger: Ledger) -> None:
    job_id = submit(ledger)
    played = play("trap 'exit 75' TERM; echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    engine_pid(played)

    ledger.run(transitions.ask(job_id, Event.CANCEL))

    thread.join(10)
    assert played.job().status == Status.CANCELLED


def test_an_engine_that_ignores_a_cancel_is_killed_after_the_grace_time(play: Play, ledger: Ledger) -> None:
    job_id = submit(ledger)
    played = play("trap '' TERM; echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    pid = engine_pid(played)

    ledger.run(transitions.ask(job_id, Event.CANCEL))

    thread.join(10)
    assert played.job().status == Status.CANCELLED
    assert not alive(pid)


def test_a_job_that_takes_too_long_fails_for_good(play: Play, ledger: Ledger) -> None:
    submit(ledger, timeout_s=0.2)

    job = play("trap 'exit 75' TERM; while :; do sleep 0.01; done").answer()

    assert job.status == Status.FAILED
    assert job.error is not None
    assert job.error.type == "timeout"
    assert "timeout_s, 0.2 s" in job.error.detail


def test_a_drain_puts_the_job_back_and_the_next_run_goes_on_from_the_checkpoint(play: Play, ledger: Ledger) -> None:
    job_id = submit(ledger)
    script = (
        'if [ -n "$RESUME" ]; then cat $RESUME > $OUT/resumed; ' + say(FINISHED) + "exit; fi\n"
        "printf 12345 > $OUT/last.pt\n" + say(CHECKPOINT) + "trap 'exit 75' TERM\necho $$ > $OUT/pid\n"
        "while :; do sleep 0.01; done"
    )
    played = play(script)
    thread = played.answering()
    engine_pid(played)

    played.runner.drain.raised = True
    thread.join(10)

    put_back = played.job()
    assert (put_back.status, put_back.attempts[0].outcome) == (Status.QUEUED, "put_back")
    job = play(script).answer()
    assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)
    assert read(played.folder / "jobs" / job_id / "2" / "resumed") == "12345"
