"""Records on their way to the ledger."""

from ledger import Ledger
from lowland.spec.reports import Advanced, Noticed
from tests.ledger.playing import claimed, job, submit
from tests.worker.engines import ADVANCED, ARTIFACT, CHECKPOINT, EPOCH
from worker.outbox import Outbox
from worker.recording import Recorder


def advanced(step: int) -> Advanced:
    return Advanced(progress=ADVANCED.progress.model_copy(update={"step": step}))


def test_progress_that_replaces_a_record_whose_reply_was_lost_is_not_taken_for_its_repetition(ledger: Ledger) -> None:
    job_id = submit(ledger)
    lease = claimed(ledger)
    recorder = Recorder(lease.token)
    sent = Outbox(ledger, lease, lease_s=60)
    sent.put(recorder.record(advanced(1)))
    sent.send()

    # the same records, as an outbox has them that never heard of the first one's arrival
    deaf = Outbox(ledger, lease, lease_s=60)
    deaf.put(recorder.record(advanced(1)))
    deaf.put(recorder.record(advanced(9)))
    deaf.send()

    progress = job(ledger, job_id).progress
    assert progress is not None
    assert progress.step == 9


def test_of_progress_only_the_latest_waits(ledger: Ledger) -> None:
    submit(ledger)
    lease = claimed(ledger)
    recorded: list[object] = []
    outbox = Outbox(ledger, lease, lease_s=60, recorded=recorded.append)

    for step in range(1, 100):
        outbox.put(Recorder(lease.token).record(advanced(step)))
    outbox.send()

    assert len(recorded) == 1
    assert outbox.is_empty


def test_what_waits_is_put_together_but_for_points_notices_and_checkpoints() -> None:
    recorder = Recorder(1)
    together = recorder.record(ARTIFACT).followed_by(recorder.record(ADVANCED))
    assert together is not None
    with_point = together.followed_by(recorder.record(EPOCH))
    assert with_point is not None
    assert with_point.fields.keys() > {"artifact:model.safetensors", "progress", "metrics"}
    assert with_point.point

    for last in (with_point, recorder.record(CHECKPOINT), recorder.record(Noticed(type="a", detail="b"))):
        assert last.followed_by(recorder.record(ADVANCED)) is None
