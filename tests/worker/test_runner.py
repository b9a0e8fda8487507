"""A runner with a shell script in the engine's place, against a real ledger."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ledger import Keys, Lease, Ledger, reads, transitions
from lowland.spec import Status
from lowland.spec.resource import Artifact, Job
from tests.conftest import Valkey
from tests.ledger.playing import LOST, SPEC_JOB, claim, submit
from tests.waiting import until
from tests.worker.engines import (
    ADVANCED,
    ARTIFACT,
    CHECKPOINT,
    EPOCH,
    FINISHED,
    PASSING,
    PERMANENT,
    STARTED,
    read,
    say,
    shell_engine,
)
from worker.engines import Work, fork_engine, program_engine
from worker.runner import Runner
from worker.settings import WorkerSettings

Answer = Callable[..., Job]


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> WorkerSettings:
    """A worker with one CPU slot, a short lease and little patience."""
    return WorkerSettings(
        redis_url=redis_url, redis_prefix=keys.prefix, artifact_dir=tmp_path, lease_s=1.0, grace_s=0.5, slots=1
    )


class Played:
    """A runner, the job it runs, and the ledger both live in."""

    def __init__(self, settings: WorkerSettings, ledger: Ledger, script: str) -> None:
        self.runner = Runner(settings, "w1", "r1", shell_engine(script))
        self.ledger = ledger
        self.folder = settings.artifact_dir

    def answer(self) -> Job:
        """Answer one bell, then look at the only job."""
        self.runner.answer()
        return self.job()

    def job(self) -> Job:
        return self.ledger.run(reads.list_jobs(limit=1)).jobs[0]

    def answering(self) -> threading.Thread:
        """Answer one bell beside the test."""
        thread = threading.Thread(target=self.runner.answer, daemon=True)
        thread.start()
        return thread


Play = Callable[[str], Played]


def descriptors() -> int:
    """How many descriptors this process holds."""
    return psutil.Process().num_fds()


@pytest.fixture
def play(settings: WorkerSettings, ledger: Ledger) -> Play:
    return lambda script: Played(settings, ledger, script)


def engine_pid(played: Played) -> int:
    """The engine's process id, once its script has written it down."""
    job_id = played.job().id
    return int(until(lambda: read(played.folder / "jobs" / job_id / "1" / "pid").strip(), "the engine runs"))


def lease_of(played: Played) -> Lease:
    """The lease of the only job's first run."""
    job = played.job()
    return Lease(job_id=job.id, token=1, attempt=1, worker="w1", device="cpu:0", spec=job.spec, checkpoint=None)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_an_engine_that_is_a_program_of_its_own_keeps_the_same_contract(
    settings: WorkerSettings, ledger: Ledger
) -> None:
    submit(ledger, dataset={"name": "digits", "limit": 100}, model={"name": "mlp", "width": 8}, epochs=1)
    patient = settings.model_copy(update={"engine_start": "subprocess"})

    Runner(patient, "w1", "r1").answer()

    (job,) = ledger.run(reads.list_jobs(limit=1)).jobs
    assert job.status == Status.SUCCEEDED
    assert job.test_accuracy is not None
    assert "model.safetensors" in {artifact.name for artifact in job.artifacts}


def test_a_bell_without_a_job_does_nothing(play: Play, ledger: Ledger) -> None:
    play("exit 1").runner.answer()

    assert ledger.run(reads.list_jobs(limit=1)).jobs == []


def test_what_an_engine_reports_is_the_job(play: Play, ledger: Ledger) -> None:
    submit(ledger)

    job = play(say(STARTED, ADVANCED, EPOCH, CHECKPOINT, ARTIFACT, FINISHED)).answer()

    assert job.status == Status.SUCCEEDED
    assert job.progress == ADVANCED.progress
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
    assert job.progress == ADVANCED.progress


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


def test_a_machine_that_cannot_start_engines_blames_no_job_and_rests(
    settings: WorkerSettings, ledger: Ledger, tmp_path: Path
) -> None:
    submit(ledger, max_attempts=1)
    (tmp_path / "a file").write_text("where a folder should be")
    broken = settings.model_copy(update={"artifact_dir": tmp_path / "a file"})
    runner = Runner(broken, "w1", "r1", shell_engine("exit 0"))

    began_at = time.monotonic()
    runner.answer()

    assert time.monotonic() - began_at > 1.5
    (job,) = ledger.run(reads.list_jobs(limit=1)).jobs
    assert (job.status, [one.outcome for one in job.attempts]) == (Status.QUEUED, ["put_back"])
    assert job.error is not None
    assert job.error.type == "engine-not-started"


def test_starting_an_engine_in_vain_leaves_no_descriptor_open(settings: WorkerSettings, tmp_path: Path) -> None:
    spec = SPEC_JOB
    before = descriptors()
    for start in (fork_engine, program_engine(lambda work, fd: ["/no/such/program"])):
        with pytest.raises(OSError, match="No such file"):
            start(Work(spec=spec, folder=tmp_path / "gone", resume=None, environment={}))
    with pytest.raises(OSError, match="No such file"):
        program_engine(lambda work, fd: ["/no/such/program"])(
            Work(spec=spec, folder=tmp_path, resume=None, environment={})
        )

    assert descriptors() == before


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_checkpoint_that_is_not_what_was_recorded_is_not_used(play: Play, ledger: Ledger, damage: str) -> None:
    submit(ledger)
    first = say(CHECKPOINT) + "exit 9"
    played = play(("printf 54321 > $OUT/last.pt\n" if damage == "damaged" else "") + first)
    assert played.answer().status == Status.QUEUED

    job = play('[ -z "$RESUME" ] || exit 8\n' + say(FINISHED)).answer()

    assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)


def test_a_checkpoint_is_deleted_once_a_later_one_counts(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    later = CHECKPOINT.model_copy(update={"name": "later.pt", "step": 6})
    script = "printf 12345 > $OUT/last.pt; printf 12345 > $OUT/later.pt\n" + say(CHECKPOINT, later, FINISHED)
    played = play(script)

    job = played.answer()

    folder = played.folder / "jobs" / job.id / "1"
    assert {path.name for path in folder.glob("*.pt")} == {"later.pt"}


def test_an_engine_is_not_called_hung_while_its_pipe_is_not_read(
    play: Play, ledger: Ledger, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.outbox.MAX_RECORDS", 2)
    submit(ledger, stall_timeout_s=1.0)
    many = "".join(say(EPOCH) for _ in range(6))
    played = play("echo $$ > $OUT/pid\nsleep 0.3\n" + many + "sleep 0.5\n" + say(FINISHED))
    thread = played.answering()
    engine_pid(played)

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread.join(3)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    assert played.job().status == Status.SUCCEEDED


def test_a_cancelled_job_stops_its_engine(play: Play, ledger: Ledger) -> None:
    job_id = submit(ledger)
    played = play("trap 'exit 75' TERM; echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    engine_pid(played)

    ledger.run(transitions.cancel(job_id))

    thread.join(10)
    assert played.job().status == Status.CANCELLED


def test_an_engine_that_ignores_a_cancel_is_killed_after_the_grace_time(play: Play, ledger: Ledger) -> None:
    job_id = submit(ledger)
    played = play("trap '' TERM; echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    pid = engine_pid(played)

    ledger.run(transitions.cancel(job_id))

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


def test_a_runner_that_lost_its_lease_kills_its_engine_and_frees_its_device(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    pid = engine_pid(played)

    def expire() -> list[transitions.Ended]:
        ledger.run(transitions.renew(lease_of(played), lease_ms=0))
        return ledger.run(transitions.expire(failure=LOST))

    assert until(expire, "the lease expires", poll_s=0)

    thread.join(10)
    assert not alive(pid)
    assert claim(ledger, runner="r2") is not None


def test_the_lease_is_renewed_while_an_engine_is_silent(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid; sleep 2.5\n" + say(FINISHED))
    thread = played.answering()
    engine_pid(played)

    while thread.is_alive():
        assert ledger.run(transitions.expire(failure=LOST)) == []
        thread.join(0.1)

    assert played.job().status == Status.SUCCEEDED


def test_a_claim_whose_answer_is_late_is_asked_for_again_and_not_lost(
    play: Play, ledger: Ledger, valkey: Valkey
) -> None:
    submit(ledger, max_attempts=1)
    played = play(say(FINISHED))

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread = played.answering()
        thread.join(1.5)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    job = played.job()
    assert (job.status, [one.outcome for one in job.attempts]) == (Status.SUCCEEDED, ["succeeded"])


def test_reports_made_while_redis_was_away_are_all_recorded(play: Play, ledger: Ledger, valkey: Valkey) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid\nsleep 0.3\n" + say(EPOCH, CHECKPOINT, ARTIFACT, FINISHED))
    thread = played.answering()
    engine_pid(played)

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread.join(3)
        assert thread.is_alive()
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    job = played.job()
    assert job.status == Status.SUCCEEDED
    assert [one.name for one in job.artifacts] == [ARTIFACT.name]
