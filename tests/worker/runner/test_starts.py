"""How runs start: engines, and the checkpoints they go on from."""

import time
from pathlib import Path

import pytest

from ledger import Ledger, Presence, presence, reads
from lowland.spec import Status
from lowland.spec.resource import Notice
from tests.ledger.playing import LOST, SPEC_JOB, submit
from tests.worker.engines import (
    CHECKPOINT,
    FINISHED,
    say,
    shell_engine,
)
from tests.worker.runner.playing import Play, a_runner, descriptors
from worker.engines import Work, fork_engine, program_engine
from worker.runner import STARTS
from worker.settings import WorkerSettings


def test_an_engine_that_is_a_program_of_its_own_keeps_the_same_contract(
    settings: WorkerSettings, ledger: Ledger
) -> None:
    submit(ledger, dataset={"name": "digits", "limit": 100}, model={"name": "mlp", "width": 8}, epochs=1)
    patient = settings.model_copy(update={"engine_start": "subprocess"})

    a_runner(patient, ledger, STARTS["subprocess"]).run_one()

    (job,) = ledger.run(reads.list_jobs(limit=1)).jobs
    assert job.status == Status.SUCCEEDED
    assert job.test_accuracy is not None
    assert "model.safetensors" in {artifact.name for artifact in job.artifacts}


def test_a_machine_that_cannot_start_engines_blames_no_job_and_rests(
    settings: WorkerSettings, ledger: Ledger, tmp_path: Path
) -> None:
    submit(ledger, max_attempts=1)
    (tmp_path / "a file").write_text("where a folder should be")
    broken = settings.model_copy(update={"artifact_dir": tmp_path / "a file"})
    runner = a_runner(broken, ledger, shell_engine("exit 0"))

    began_at = time.monotonic()
    runner.run_one()

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
            start(Work(spec=spec, folder=tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        program_engine(lambda work, fd: ["/no/such/program"])(Work(spec=spec, folder=tmp_path))

    assert descriptors() == before


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_checkpoint_that_is_not_what_was_recorded_is_not_used(play: Play, ledger: Ledger, damage: str) -> None:
    submit(ledger)
    first = say(CHECKPOINT) + "exit 9"
    played = play(("printf 54321 > $OUT/last.pt\n" if damage == "damaged" else "") + first)
    assert played.answer().status == Status.QUEUED

    job = play('[ -z "$RESUME" ] || exit 8\n' + say(FINISHED)).answer()

    assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)
    assert job.notices == [
        Notice(type="checkpoint-damaged", detail=f"last.pt of step 5 is {damage}; the job starts over")
    ]


def test_where_the_latest_checkpoint_is_damaged_the_one_before_is_used(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    earlier = CHECKPOINT.model_copy(update={"name": "earlier.pt", "step": 3})
    script = "printf 12345 > $OUT/earlier.pt; printf 1234 > $OUT/last.pt\n" + say(earlier, CHECKPOINT) + "exit 9"
    assert play(script).answer().status == Status.QUEUED

    job = play('case "$RESUME" in */1/earlier.pt) ;; *) exit 8 ;; esac\n' + say(FINISHED)).answer()

    assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)
    detail = "last.pt of step 5 is damaged; the one before is used"
    assert job.notices == [Notice(type="checkpoint-damaged", detail=detail)]


def test_a_damaged_checkpoint_no_longer_counts_and_the_good_one_before_stays(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    earlier = CHECKPOINT.model_copy(update={"name": "earlier.pt", "step": 3})
    script = "printf 12345 > $OUT/earlier.pt; printf 1234 > $OUT/last.pt\n" + say(earlier, CHECKPOINT) + "exit 9"
    played = play(script)
    played.answer()
    later = CHECKPOINT.model_copy(update={"name": "later.pt", "step": 7})

    job = play("printf 12345 > $OUT/later.pt\n" + say(later) + "exit 9").answer()

    folder = played.folder / "jobs" / job.id
    assert (folder / "1" / "earlier.pt").exists()
    assert (folder / "2" / "later.pt").exists()


@pytest.mark.parametrize(
    ("ending", "left"), [("exit 9", {"2.pt", "3.pt"}), (say(FINISHED), set[str]())], ids=["lost", "done"]
)
def test_a_checkpoint_is_deleted_once_two_later_ones_count_and_all_are_once_the_job_succeeded(
    play: Play, ledger: Ledger, ending: str, left: set[str]
) -> None:
    submit(ledger)
    checkpoints = [CHECKPOINT.model_copy(update={"name": f"{step}.pt", "step": step}) for step in (1, 2, 3)]
    script = "for n in 1 2 3; do printf 12345 > $OUT/$n.pt; done\n" + say(*checkpoints) + ending
    played = play(script)

    job = played.answer()

    folder = played.folder / "jobs" / job.id / "1"
    assert {path.name for path in folder.glob("*.pt")} == left


def test_a_checkpoint_that_cannot_be_deleted_does_not_end_a_run(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    later = CHECKPOINT.model_copy(update={"name": "later.pt", "step": 6})
    # a folder in the file's place is what even root cannot unlink
    script = "mkdir $OUT/last.pt; printf 12345 > $OUT/later.pt\n" + say(CHECKPOINT, later, FINISHED)

    assert play(script).answer().status == Status.SUCCEEDED


def test_one_bell_suffices_for_every_job_that_waits(settings: WorkerSettings, ledger: Ledger) -> None:
    ids = [submit(ledger) for _ in range(3)]
    runner = a_runner(settings, ledger, shell_engine(say(FINISHED)))

    assert runner.run_one()
    runner.answer()

    assert not runner.run_one()
    assert {ledger.run(reads.get_job(job_id)).status for job_id in ids} == {Status.SUCCEEDED}


def test_a_runner_that_is_told_to_stop_takes_no_other_job(settings: WorkerSettings, ledger: Ledger) -> None:
    ids = [submit(ledger) for _ in range(2)]
    runner = a_runner(settings, ledger, shell_engine(say(FINISHED)))
    runner.drain.raised = True

    runner.answer()

    # whether the first engine is faster than its stop, is no matter
    assert [len(ledger.run(reads.get_job(job_id)).attempts) for job_id in ids] == [1, 0]


def test_a_runner_that_nobody_knows_leaves_the_job_where_it_is(settings: WorkerSettings, ledger: Ledger) -> None:
    job_id = submit(ledger)
    runner = a_runner(settings, ledger, shell_engine(say(FINISHED)))
    ledger.run(presence.leave(Presence(worker="w1", incarnation="i1", runners=()), failure=LOST))

    runner.answer()

    assert ledger.run(reads.get_job(job_id)).status == Status.QUEUED
