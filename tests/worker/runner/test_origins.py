"""A job that starts from another one's weights: the runner hands the engine their file."""

import pytest

from ledger import Ledger
from lowland.spec import Status
from tests.ledger.playing import submit
from tests.worker.engines import ARTIFACT, CHECKPOINT, FINISHED, read, say
from tests.worker.runner.playing import Play


def _from(origin: str) -> dict[str, object]:
    """A model that starts from a job's weights."""
    return {"name": "mlp", "init_from": {"job": origin}}


def test_the_engine_gets_the_weights_of_the_job_that_is_named(play: Play, ledger: Ledger) -> None:
    origin = submit(ledger)
    play("printf 12345 > $OUT/model.safetensors\n" + say(ARTIFACT, FINISHED)).answer()
    submit(ledger, model=_from(origin))

    played = play("cat $WEIGHTS > $OUT/found\n" + say(FINISHED))
    job = played.answer()

    assert job.status == Status.SUCCEEDED
    assert read(played.folder / "jobs" / job.id / "1" / "found") == "12345"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (say(FINISHED), "which has no weights"),
        (say(ARTIFACT, FINISHED), "whose model.safetensors is no longer in the store"),
    ],
    ids=["none", "gone"],
)
def test_without_them_the_job_fails_for_good_and_says_why(
    play: Play, ledger: Ledger, script: str, problem: str
) -> None:
    origin = submit(ledger)
    play(script).answer()
    submit(ledger, model=_from(origin))

    job = play("exit 9").answer()

    assert (job.status, job.attempt) == (Status.FAILED, 1)
    assert job.error is not None
    assert (job.error.type, job.error.detail) == (
        "weights-missing",
        f'model.init_from.job is "{origin}", {problem}; give a job that has succeeded',
    )


def test_a_job_that_is_not_known_is_named(play: Play, ledger: Ledger) -> None:
    submit(ledger, model=_from("nobody"))

    job = play("exit 9").answer()

    assert job.error is not None
    assert job.error.detail == 'model.init_from.job is "nobody", which is not known; give a job that has succeeded'


def test_a_job_that_goes_on_from_a_checkpoint_no_longer_needs_them(play: Play, ledger: Ledger) -> None:
    origin = submit(ledger)
    played = play("printf 12345 > $OUT/model.safetensors\n" + say(ARTIFACT, FINISHED))
    played.answer()
    job_id = submit(ledger, model=_from(origin))
    play("printf 12345 > $OUT/last.pt\n" + say(CHECKPOINT) + "exit 9").answer()
    (played.folder / "jobs" / origin / "1" / "model.safetensors").unlink()

    job = play('[ -n "$RESUME" ] && [ -z "$WEIGHTS" ] || exit 8\n' + say(FINISHED)).answer()

    assert (job.id, job.status, job.attempt) == (job_id, Status.SUCCEEDED, 2)
