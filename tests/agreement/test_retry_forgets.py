"""What a recorder writes about a run's results, a retry from the start forgets: they stand in Python and in Lua."""

from ledger import Ledger, chores, runs, transitions
from lowland.spec.reports import Noticed
from tests.ledger.playing import claimed, settle, submit
from tests.worker.engines import ADVANCED, ARTIFACT, CHECKPOINT, EPOCH, FINISHED, STARTED
from worker.recording import Recorder

REPORTS = (STARTED, ADVANCED, EPOCH, CHECKPOINT, ARTIFACT, Noticed(type="a", detail="b"), FINISHED)


def test_a_retry_from_the_start_forgets_every_field_that_reports_have_written(ledger: Ledger) -> None:
    job_id = submit(ledger)
    lease = claimed(ledger)
    recorder = Recorder(lease.token)
    written: set[str] = set()
    for number, report in enumerate(REPORTS, start=1):
        record = recorder.record(report)
        written |= record.fields.keys()
        ledger.run(runs.report(lease, number, lease_ms=60_000, fields=record.fields))
    settle(ledger, lease, "failed")
    assert written <= ledger.run(chores.read_record(job_id)).fields.keys()

    ledger.run(transitions.retry(job_id, from_checkpoint=False))

    assert not written & ledger.run(chores.read_record(job_id)).fields.keys()
