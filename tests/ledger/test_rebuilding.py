"""A ledger that was lost, brought back from the store's records."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Keys, Ledger, OtherStore, reads, transitions
from ledger.packing import RECORD_FILE, write_record
from ledger.rebuilding import Rebuilt, adopt, rebuild
from ledger.store import job_folder
from lowland.spec import Event, Status
from tests.ledger.archiving import archive, finished, in_store
from tests.ledger.playing import STORE, enroll, job, submit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An artifact store."""
    (tmp_path / "store.json").write_text(json.dumps({"id": STORE}))
    return tmp_path


@pytest.fixture
def empty(redis_url: str, keys: Keys) -> Iterator[Ledger]:
    """The ledger after the loss."""
    with Ledger(redis_url, Keys(keys.prefix.replace("}", "-again}"))) as opened:
        yield opened


def test_every_finished_job_comes_back(ledger: Ledger, empty: Ledger, root: Path) -> None:
    for ending in ("failed", "succeeded"):
        archive(ledger, root, finished(ledger, ending))
    before = ledger.run(reads.list_jobs(limit=5))

    assert rebuild(empty, root) == Rebuilt(brought_back=2, there=0, damaged=())

    assert empty.run(reads.list_jobs(limit=5)) == before


def test_what_the_ledger_has_stays_untouched(ledger: Ledger, root: Path) -> None:
    job_id = finished(ledger)
    archive(ledger, root, job_id)
    ledger.run(transitions.retry(job_id, from_checkpoint=False))

    assert rebuild(ledger, root) == Rebuilt(brought_back=0, there=1, damaged=())

    assert job(ledger, job_id).status == Status.QUEUED


def test_rebuilding_twice_is_rebuilding_once(ledger: Ledger, empty: Ledger, root: Path) -> None:
    archive(ledger, root, finished(ledger))
    rebuild(empty, root)

    assert rebuild(empty, root) == Rebuilt(brought_back=0, there=1, damaged=())


def test_a_job_that_has_not_finished_has_no_record_and_is_passed_over(empty: Ledger, root: Path) -> None:
    (job_folder(root, "j1") / "1").mkdir(parents=True)
    (root / "jobs" / "a file").touch()

    assert rebuild(empty, root) == Rebuilt(brought_back=0, there=0, damaged=())


def test_damaged_records_are_named_and_the_others_brought_back(ledger: Ledger, empty: Ledger, root: Path) -> None:
    whole, cut, other, running, unreadable = (finished(ledger) for _ in range(5))
    for job_id in (whole, cut, other, running, unreadable):
        archive(ledger, root, job_id)
    (job_folder(root, cut) / RECORD_FILE).write_text("{")
    (job_folder(root, other) / RECORD_FILE).write_text((job_folder(root, whole) / RECORD_FILE).read_text())
    change(root, running, status="running")
    change(root, unreadable, spec="{}")

    done = rebuild(empty, root)

    assert (done.brought_back, done.there) == (1, 0)
    assert [(one.path.parent.name, one.reason) for one in done.damaged] == [
        (cut, "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (other, f"it is the record of job {whole}"),
        (running, "the job is running in it, and not finished"),
        (unreadable, done.damaged[3].reason),
    ]
    assert "JobSpec" in done.damaged[3].reason
    assert all("\n" not in one.reason for one in done.damaged)
    assert [one.id for one in empty.run(reads.list_jobs(limit=5)).jobs] == [whole]


def test_the_ledger_belongs_to_the_store_afterwards(empty: Ledger, root: Path) -> None:
    rebuild(empty, root)

    with pytest.raises(OtherStore):
        enroll(empty, store="another")
    enroll(empty, store=STORE)


def test_a_ledger_of_another_store_is_left_alone(ledger: Ledger, empty: Ledger, root: Path) -> None:
    archive(ledger, root, finished(ledger))
    empty.run(adopt("another"))

    with pytest.raises(OtherStore):
        rebuild(empty, root)

    assert empty.run(reads.list_jobs(limit=5)).jobs == []


def test_a_folder_that_is_no_store_is_refused(empty: Ledger, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rebuild(empty, tmp_path)


def test_a_job_that_waits_is_not_brought_back_as_something_else(ledger: Ledger, empty: Ledger, root: Path) -> None:
    waiting = submit(ledger)
    cancelled = submit(ledger)
    ledger.run(transitions.ask(cancelled, Event.CANCEL))
    archive(ledger, root, cancelled)

    rebuild(empty, root)

    assert job(empty, cancelled) == job(ledger, cancelled)
    assert waiting not in [one.id for one in empty.run(reads.list_jobs(limit=5)).jobs]


def change(root: Path, job_id: str, **fields: str) -> None:
    record = in_store(root, job_id)
    record.fields.update(fields)
    write_record(root, record)
