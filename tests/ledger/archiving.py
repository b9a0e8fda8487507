"""Jobs with something to keep, played to their end, and archived as the keeper does it."""

import json
from pathlib import Path
from typing import Any

from ledger import Checkpoint, Ledger, chores, runs, transitions
from ledger.packing import Record, read_record, write_record
from ledger.runs import write_checkpoints
from ledger.store import run_folder
from lowland.spec import Status
from tests.ledger.playing import claimed, settle, submit

WEIGHTS = {"name": "model.safetensors", "size_bytes": 5, "sha256": "0" * 64, "media_type": "application/x-test"}
NOTICE = json.dumps({"type": "checkpoint-damaged", "detail": "ρ is not what it was"})


def run_once(ledger: Ledger, ending: runs.Ending = "failed", *, epochs: int = 2) -> str:
    """Run the waiting job with reports of every kind; gives its id."""
    lease = claimed(ledger)
    for epoch in range(1, epochs + 1):
        checkpoint = Checkpoint(token=lease.token, name=f"{epoch}.pt", size_bytes=1, sha256="0" * 64, step=epoch)
        fields = {
            "accuracy": str(epoch / 10),
            "metrics": json.dumps({"loss": 1 / epoch}),
            "checkpoints": write_checkpoints([checkpoint]),
            f"artifact:{WEIGHTS['name']}": json.dumps({**WEIGHTS, "token": lease.token}),
            f"notice:{lease.token}:{epoch}": NOTICE,
        }
        point = json.dumps({"epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch})
        ledger.run(runs.report(lease, epoch, lease_ms=60_000, fields=fields, point=point, notice=NOTICE))
    settle(ledger, lease, ending)
    return lease.job_id


def finished(ledger: Ledger, ending: runs.Ending = "failed", **spec: Any) -> str:
    """A job that has run and ended; gives its id."""
    job_id = submit(ledger, **spec)
    assert run_once(ledger, ending) == job_id
    return job_id


def write_weights(root: Path, job_id: str) -> Path:
    """What the job's first run has left in the store."""
    path = run_folder(root, job_id, 1) / WEIGHTS["name"]
    path.parent.mkdir(parents=True)
    path.write_text("12345")
    return path


def archive(ledger: Ledger, root: Path, job_id: str) -> Record:
    """Write the job's record and pack it; gives what the store has then."""
    record = ledger.run(chores.read_record(job_id)).after(read_record(root, job_id))
    write_record(root, record)
    assert ledger.run(chores.pack_job(record))
    return in_store(root, job_id)


def retry(ledger: Ledger, job_id: str, *, from_checkpoint: bool = False) -> None:
    """Retry as the API does."""
    ledger.run(transitions.retry(job_id, from_checkpoint=from_checkpoint))


def in_store(root: Path, job_id: str) -> Record:
    """The record in the store, which must be there."""
    record = read_record(root, job_id)
    assert record is not None
    return record


def statuses(record: Record) -> list[str]:
    """What has happened to the job, in order."""
    named = [fields["event"] for _, fields in record.events]
    return [name for name in named if name in set(Status)]
