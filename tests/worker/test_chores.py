"""The chores of finished jobs, against a real ledger and a real folder."""

import logging
from collections import Counter
from pathlib import Path

import pytest

import worker.chores
from ledger import JobNotFound, Ledger, chores, transitions
from ledger.packing import RECORD_FILE, Record, read_record, write_record
from ledger.store import job_folder
from lowland.spec import Status
from tests.ledger.archiving import finished, in_store, run_once, statuses, write_weights
from tests.ledger.playing import job
from tests.waiting import until
from tests.worker.keepers import doing, left, until_done, working

#: Kept for so short a time, every finished job is outdated at once.
NO_TIME = 1e-9


def is_packed(ledger: Ledger, job_id: str) -> bool:
    return "packed" in ledger.run(chores.read_record(job_id)).fields


def is_known(ledger: Ledger, job_id: str) -> bool:
    try:
        job(ledger, job_id)
    except JobNotFound:
        return False
    return True


def test_a_finished_job_is_archived(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    before, had = job(ledger, job_id), ledger.run(chores.read_record(job_id))

    with working(ledger, redis_url, tmp_path):
        until_done(redis_url, ledger, "archive")

    assert is_packed(ledger, job_id)
    assert in_store(tmp_path, job_id) == had
    assert job(ledger, job_id) == before


def test_jobs_are_kept_for_ever_by_default(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    weights = write_weights(tmp_path, job_id)

    with doing(ledger, redis_url, tmp_path) as keeper:
        until(lambda: keeper.start_due() or is_packed(ledger, job_id), "it is archived")
        keeper.start_due()

    assert is_known(ledger, job_id)
    assert weights.exists()
    assert left(redis_url, ledger, "retire") == {}


def test_a_job_kept_long_enough_goes_with_its_files(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    write_weights(tmp_path, job_id)

    with working(ledger, redis_url, tmp_path, retention_days=NO_TIME):
        until(lambda: not is_known(ledger, job_id), "the job is gone")
        until(lambda: not job_folder(tmp_path, job_id).exists(), "its files are gone")
        until_done(redis_url, ledger, "retire")

    assert left(redis_url, ledger, "archive") == {}


def test_a_job_that_is_younger_stays(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)

    with doing(ledger, redis_url, tmp_path, retention_days=1) as keeper:
        until(lambda: keeper.start_due() or is_packed(ledger, job_id), "it is archived")
        keeper.start_due()

    assert left(redis_url, ledger, "retire") == {}
    assert is_known(ledger, job_id)


def test_a_job_that_was_retried_meanwhile_is_left_alone(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    weights = write_weights(tmp_path, job_id)
    ledger.run(chores.mark_outdated(kept_ms=0))

    ledger.run(transitions.retry(job_id, from_checkpoint=False))

    with doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()
    assert job(ledger, job_id).status == Status.QUEUED
    assert weights.exists()
    assert read_record(tmp_path, job_id) is None
    assert not ledger.run(chores.forget(job_id))


def test_a_job_that_is_retried_while_its_record_is_written_is_archived_when_it_ends_again(
    ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = finished(ledger)

    def write_late(root: Path, record: Record) -> None:
        if record.fields["status"] == "failed":
            ledger.run(transitions.retry(job_id, from_checkpoint=False))
        write_record(root, record)

    monkeypatch.setattr(worker.chores, "write_record", write_late)
    with working(ledger, redis_url, tmp_path):
        until_done(redis_url, ledger, "archive")
        assert not is_packed(ledger, job_id)
        run_once(ledger, "succeeded")
        until_done(redis_url, ledger, "archive")

    both = ["queued", "running", "failed", "queued", "running", "succeeded"]
    assert statuses(in_store(tmp_path, job_id)) == both
    assert is_packed(ledger, job_id)


def test_a_job_that_is_retired_while_its_record_is_written_leaves_none(
    ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = finished(ledger)

    def write_late(root: Path, record: Record) -> None:
        ledger.run(chores.forget(job_id))
        write_record(root, record)

    monkeypatch.setattr(worker.chores, "write_record", write_late)
    with doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()

    assert not job_folder(tmp_path, job_id).exists()


def test_the_files_of_a_job_that_is_deleted_while_its_record_is_written_go_right_after(
    ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = finished(ledger)
    write_weights(tmp_path, job_id)

    def write_late(root: Path, record: Record) -> None:
        ledger.run(transitions.delete(job_id))
        write_record(root, record)

    monkeypatch.setattr(worker.chores, "write_record", write_late)
    for _ in range(2):  # one round writes the record, the next one deletes
        with doing(ledger, redis_url, tmp_path) as keeper:
            keeper.start_due()

    assert not job_folder(tmp_path, job_id).exists()
    assert left(redis_url, ledger, "retire") == {}


def test_two_keepers_at_once_do_each_chore_once(
    ledger: Ledger, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [finished(ledger, epochs=1) for _ in range(20)]
    written: list[str] = []

    def write_and_note(root: Path, record: Record) -> None:
        write_record(root, record)
        written.append(record.fields["id"])

    monkeypatch.setattr(worker.chores, "write_record", write_and_note)
    with working(ledger, redis_url, tmp_path, keepers=2):
        until_done(redis_url, ledger, "archive")
    with (
        caplog.at_level(logging.INFO),
        working(ledger, redis_url, tmp_path, keepers=2, retention_days=NO_TIME),
    ):
        until(lambda: not any(is_known(ledger, job_id) for job_id in ids), "all are gone")
        until_done(redis_url, ledger, "retire")

    retired = Counter(line.message for line in caplog.records if line.message.startswith("job retired"))
    assert Counter(written) == Counter(ids)
    assert retired == Counter(f"job retired: {job_id}" for job_id in ids)


def test_a_keeper_that_died_lets_its_chores_go_after_a_while(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    [taken] = ledger.run(chores.take("archive", "it dies now", most=5, kept_ms=400))
    assert ledger.run(chores.take("archive", "another", most=5, kept_ms=400)) == []

    with working(ledger, redis_url, tmp_path):
        until(lambda: is_packed(ledger, job_id), "another does it")
        until_done(redis_url, ledger, "archive")

    ledger.run(chores.put_off(taken, again_ms=0))  # as one would that had only been slow
    assert left(redis_url, ledger, "archive") == {}


def test_a_store_that_cannot_be_written_puts_the_chore_off(
    ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.chores, "_FIRST_PAUSE_MS", 10)
    job_id = finished(ledger)
    before = job(ledger, job_id)
    (tmp_path / "jobs").touch()

    with working(ledger, redis_url, tmp_path):
        until(lambda: left(redis_url, ledger, "archive").get(job_id, 0) >= 2, "it was tried twice")
        assert not is_packed(ledger, job_id)
        assert job(ledger, job_id) == before
        assert {path.name for path in tmp_path.iterdir()} == {"jobs", "store.json"}
        (tmp_path / "jobs").unlink()
        until_done(redis_url, ledger, "archive")

    assert is_packed(ledger, job_id)
    assert [path.name for path in job_folder(tmp_path, job_id).iterdir()] == [RECORD_FILE]


def test_a_job_whose_earlier_record_is_damaged_waits_for_someone_to_look_at_it(
    ledger: Ledger, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = finished(ledger)
    job_folder(tmp_path, job_id).mkdir(parents=True)
    (job_folder(tmp_path, job_id) / RECORD_FILE).write_text("[]")

    with doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()

    assert left(redis_url, ledger, "archive") == {job_id: 1}
    assert f"chore failed: archive {job_id}, again in 1 s: it is no JSON object" in caplog.text


def test_no_more_is_taken_than_hands_are_free(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    for _ in range(worker.chores.HANDS + 1):
        finished(ledger, epochs=1)

    with doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()
        # a hand that has not begun yet when the keeper stops leaves its chore
        until(lambda: len(left(redis_url, ledger, "archive")) <= 1, "all that was taken is done")

    assert len(left(redis_url, ledger, "archive")) == 1


def test_a_keeper_whose_folder_is_not_the_store_forgets_nothing(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    job_id = finished(ledger)
    (tmp_path / "store.json").write_text('{"id": "another"}')

    with doing(ledger, redis_url, tmp_path, retention_days=1e-9) as keeper:
        for kind in ("archive", "retire"):

            def was_tried(kind: str = kind) -> int:
                keeper.start_due()
                return left(redis_url, ledger, kind).get(job_id, 0)

            until(was_tried, "it was tried in vain")

    assert job(ledger, job_id).status == Status.FAILED
    assert not is_packed(ledger, job_id)
    assert list(tmp_path.iterdir()) == [tmp_path / "store.json"]
