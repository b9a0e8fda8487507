"""Bringing a lost ledger back from the artifact store: every job whose record lies there, as it was when it finished.

What the ledger has stays untouched, so that this may be done again, and while others work with the ledger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.chores import restore
from ledger.connection import Ledger
from ledger.documents import to_job
from ledger.packing import RECORD_FILE, Record, read_record
from ledger.presence import adopt
from ledger.store import job_folder, read_store_id

#: What is told of a damaged record, at most.
_REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A record that cannot be brought back."""

    path: Path
    reason: str
    """One line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was done."""

    brought_back: int
    there: int
    """Jobs that the ledger had."""
    damaged: tuple[Damaged, ...]


def rebuild(ledger: Ledger, root: Path) -> Rebuilt:
    """Bring back every job that has a record in the store.

    Raises:
        OSError: this is no artifact store, or it cannot be read.
        OtherStore: the ledger belongs to another one.
        LedgerUnusable: the server cannot hold a ledger, or holds one of another version.
        LedgerUnavailable: the server did not answer; what was brought back so far stays.
    """
    store = read_store_id(root)
    ledger.check()
    ledger.run(adopt(store))
    brought_back, there, damaged = 0, 0, list[Damaged]()
    for job_id in _job_ids(root):
        try:
            record = _read_finished(root, job_id)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:_REASON_LENGTH]
            damaged.append(Damaged(path=job_folder(root, job_id) / RECORD_FILE, reason=reason))
            continue
        if record is None:
            continue  # it has not finished
        if ledger.run(restore(record)):
            brought_back += 1
        else:
            there += 1
    return Rebuilt(brought_back=brought_back, there=there, damaged=tuple(damaged))


def _job_ids(root: Path) -> Iterator[str]:
    jobs = root / "jobs"
    return (folder.name for folder in (sorted(jobs.iterdir()) if jobs.exists() else ()) if folder.is_dir())


def _read_finished(root: Path, job_id: str) -> Record | None:
    """A job's record, if it has one; one that could not be shown would spoil every list it stands in.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not the record of this job, finished.
    """
    record = read_record(root, job_id)
    if record is None:
        return None
    try:
        job = to_job(record.fields)
    except KeyError as error:
        raise ValueError(f"the job's field {error} is missing") from error
    except TypeError as error:
        raise ValueError(f"a field of the job has a wrong form: {error}") from error
    if job.id != job_id:
        raise ValueError(f"it is the record of job {job.id}")
    if not job.terminal or job.finished_at is None:
        raise ValueError(f"the job is {job.status} in it, and not finished")
    return record
