"""What becomes of a finished job: packed in the ledger, whole in the store, and the same to whoever looks at it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from ledger import Keys, Ledger, Wanted, chores, reads, transitions
from ledger.packing import RECORD_FILE, Record, pack, pack_recent, read_record, unpack, unpack_recent, write_record
from ledger.store import job_folder
from lowland.spec import Event, Status
from tests.ledger.archiving import archive, finished, in_store, retry, run_once, statuses
from tests.ledger.playing import claimed, job, submit

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@given(st.dictionaries(st.text(), st.text(), min_size=1))
def test_what_is_packed_comes_out_as_it_went_in(fields: dict[str, str]) -> None:
    part, names = pack(fields)

    assert unpack(part) == {name: fields[name] for name in names}
    assert fields == {name: value for name, value in fields.items() if name not in names} | unpack(part)


def test_what_is_packed_travels_as_bytes() -> None:
    part, _ = pack({"spec": "ρ" * 1000})

    sent = part.encode("utf-8", "surrogateescape")

    assert sent[:1] == b"\x78"  # zlib's mark: they are not encoded once more
    assert sent.decode("utf-8", "surrogateescape") == part
    assert len(sent) < 100


def test_a_packed_job_reads_exactly_as_before(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger, name="ρ = 0,05 🏔", webhook={"url": "https://example.com/", "secret": SECRET})
    before, listed = job(ledger, job_id), ledger.run(reads.list_jobs(limit=5))
    weights = ledger.run(reads.get_artifact(job_id, "model.safetensors"))

    archive(ledger, tmp_path, job_id)

    assert job(ledger, job_id) == before
    assert ledger.run(reads.list_jobs(limit=5)) == listed
    assert ledger.run(reads.get_artifact(job_id, "model.safetensors")) == weights
    assert ledger.run(reads.get_webhook_secret(job_id)) == SECRET


def test_a_packed_job_leaves_little_in_redis(ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path) -> None:
    job_id = finished(ledger)

    archive(ledger, tmp_path, job_id)

    with redis.Redis.from_url(redis_url, decode_responses=True, encoding_errors="surrogateescape") as client:
        assert client.exists(keys.key("events", job_id), keys.key("metrics", job_id)) == 0
        assert client.object("encoding", keys.key("job", job_id)) == "listpack"
        assert "spec" not in client.hkeys(keys.key("job", job_id))


def recent_of(url: str, keys: Keys, job_id: str) -> tuple[str, int]:
    """The latest events and points of a packed job, and for how long they are at hand, in ms."""
    with redis.Redis.from_url(url, decode_responses=True, encoding_errors="surrogateescape") as client:
        name = keys.key("recent", job_id)
        return str(client.get(name) or ""), client.pttl(name)


def test_the_latest_events_and_points_stay_at_hand_for_an_hour(
    ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    record = archive(ledger, tmp_path, job_id := finished(ledger))

    part, left_ms = recent_of(redis_url, keys, job_id)

    assert unpack_recent(part).events == record.events
    assert unpack_recent(part).points == record.points
    assert 3_590_000 < left_ms <= 3_600_000


@pytest.mark.parametrize(
    "leave", [retry, lambda ledger, job_id: ledger.run(chores.forget(job_id))], ids=["queued again", "forgotten"]
)
def test_they_go_when_the_job_is_queued_again_or_forgotten(
    ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path, leave: Callable[[Ledger, str], object]
) -> None:
    archive(ledger, tmp_path, job_id := finished(ledger))

    leave(ledger, job_id)

    assert recent_of(redis_url, keys, job_id)[0] == ""


@given(st.lists(st.text(max_size=400), max_size=200), st.lists(st.text(max_size=400), max_size=20))
def test_the_latest_are_as_many_as_fit(points: list[str], events: list[str]) -> None:
    record = Record(
        fields={},
        points=[(f"1-{number}", {"point": text}) for number, text in enumerate(points)],
        events=[(f"{number}-0", {"event": text}) for number, text in enumerate(events)],
    )

    part = pack_recent(record)

    assert len(part.encode("utf-8", "surrogateescape")) <= 1200
    recent = unpack_recent(part)
    assert recent.points == record.points[len(points) - len(recent.points) :]
    assert recent.events == record.events[len(events) - len(recent.events) :]


def test_of_a_long_series_several_points_are_kept_and_beside_a_huge_point_the_events() -> None:
    digits = "".join(map(str, range(10_000)))
    long = Record(fields={}, points=[(f"1-{number}", {"point": digits[number * 7 :][:300]}) for number in range(1000)])
    huge = Record(fields={}, points=[("1-1", {"point": digits})], events=[("1-0", {"event": "succeeded"})])

    kept = unpack_recent(pack_recent(long)).points
    none = unpack_recent(pack_recent(huge))

    assert kept == long.points[-len(kept) :]
    assert len(kept) >= 4
    assert (none.points, none.events) == ([], huge.events)


def test_after_a_retry_the_latest_are_of_both_lives(ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path) -> None:
    archive(ledger, tmp_path, job_id := finished(ledger))
    retry(ledger, job_id)
    ledger.run(transitions.ask(job_id, Event.CANCEL))

    both = archive(ledger, tmp_path, job_id)

    recent = unpack_recent(recent_of(redis_url, keys, job_id)[0])
    assert recent.events == both.events
    assert [entry_id for entry_id, _ in recent.points] == ["1-1", "1-2"]


def test_the_record_holds_all_that_the_ledger_had(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger)
    had = ledger.run(chores.read_record(job_id))

    assert archive(ledger, tmp_path, job_id) == had
    assert statuses(had) == ["queued", "running", "failed"]
    assert [entry_id for entry_id, _ in had.points] == ["1-1", "1-2"]


def test_after_a_retry_the_record_holds_both_lives(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger)
    first = archive(ledger, tmp_path, job_id)
    retry(ledger, job_id)
    run_once(ledger, "succeeded")

    both = archive(ledger, tmp_path, job_id)

    assert both.events[: len(first.events)] == first.events
    assert statuses(both) == ["queued", "running", "failed", "queued", "running", "succeeded"]
    assert [entry_id for entry_id, _ in both.points] == ["1-1", "1-2", "2-1", "2-2"]
    assert both.fields["status"] == "succeeded"


def test_archiving_again_doubles_nothing(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger)
    record = ledger.run(chores.read_record(job_id))
    write_record(tmp_path, record)  # by a keeper that died before it packed the job

    assert archive(ledger, tmp_path, job_id) == record


def test_the_webhook_s_secret_is_not_in_the_store(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger, webhook={"url": "https://example.com/", "secret": SECRET})

    archive(ledger, tmp_path, job_id)

    text = (job_folder(tmp_path, job_id) / RECORD_FILE).read_text()
    assert SECRET not in text
    assert "webhook_secret" not in text


@pytest.mark.parametrize("from_checkpoint", [True, False], ids=["from its checkpoint", "from the start"])
def test_a_packed_job_that_is_retried_is_unpacked(ledger: Ledger, tmp_path: Path, *, from_checkpoint: bool) -> None:
    job_id = finished(ledger)
    before = job(ledger, job_id)
    archive(ledger, tmp_path, job_id)

    retry(ledger, job_id, from_checkpoint=from_checkpoint)

    after = job(ledger, job_id)
    assert (after.status, after.spec, after.attempts) == (Status.QUEUED, before.spec, before.attempts)
    assert after.artifacts == (before.artifacts if from_checkpoint else [])
    assert "packed" not in ledger.run(chores.read_record(job_id)).fields
    assert len(claimed(ledger).checkpoints) == from_checkpoint


def test_a_job_is_not_packed_for_a_record_of_an_earlier_life(ledger: Ledger, tmp_path: Path) -> None:
    job_id = finished(ledger)
    record = ledger.run(chores.read_record(job_id))
    retry(ledger, job_id)

    assert not ledger.run(chores.pack_job(record))
    assert job(ledger, job_id).status == Status.QUEUED


def test_a_record_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, "j1")
    (folder / RECORD_FILE / "in the way").mkdir(parents=True)

    with pytest.raises(OSError, match="irectory"):
        write_record(tmp_path, Record(fields={"id": "j1"}))

    assert [path.name for path in folder.iterdir()] == [RECORD_FILE]


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_record(tmp_path, Record(fields={"id": "j1"}))
    unwritable = Record(fields={"id": "j1", "detail": object()})  # pyright: ignore[reportArgumentType]  JSON has none

    with pytest.raises(TypeError):
        write_record(tmp_path, unwritable)

    assert in_store(tmp_path, "j1") == Record(fields={"id": "j1"})
    assert [path.name for path in job_folder(tmp_path, "j1").iterdir()] == [RECORD_FILE]


def test_a_job_without_a_record_has_none(tmp_path: Path) -> None:
    assert read_record(tmp_path, "j1") is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param('{"form": 1, "fields": {"id": "j', id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param('{"form": 2, "fields": {}, "events": [], "points": []}', id="another form"),
        pytest.param('{"form": 1, "events": [], "points": []}', id="no fields"),
        pytest.param('{"form": 1, "fields": {"id": 5}, "events": [], "points": []}', id="a number"),
        pytest.param('{"form": 1, "fields": {}, "points": []}', id="no events"),
        pytest.param('{"form": 1, "fields": {}, "events": [["1-0"]], "points": []}', id="half an entry"),
    ],
)
def test_a_damaged_record_is_told_from_one_that_is_not_there(tmp_path: Path, text: str) -> None:
    job_folder(tmp_path, "j1").mkdir(parents=True)
    (job_folder(tmp_path, "j1") / RECORD_FILE).write_text(text)

    with pytest.raises(ValueError, match=r".+"):
        read_record(tmp_path, "j1")


def test_a_restored_job_is_the_one_that_was_lost(ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    ids = [finished(ledger, "failed"), finished(ledger, "succeeded"), submit(ledger)]
    ledger.run(transitions.ask(ids[2], transitions.Event.CANCEL))
    records = [archive(ledger, tmp_path, job_id) for job_id in ids]
    before = ledger.run(reads.list_jobs(limit=5))

    with Ledger(redis_url, Keys("{again-" + ids[0] + "}:")) as again:
        assert [again.run(chores.restore(record)) for record in records] == [True, True, True]
        assert again.run(reads.list_jobs(limit=5)) == before
        assert [one.id for one in again.run(reads.list_jobs(limit=5, wanted=Wanted(status=Status.FAILED))).jobs] == [
            ids[0]
        ]
        assert not again.run(chores.restore(records[0]))
        retry(again, ids[0], from_checkpoint=True)
        assert claimed(again).checkpoints[0].name == "2.pt"
