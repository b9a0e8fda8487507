"""Searches of the ledger: what fits, in pages, over indexes that follow the jobs."""

from pathlib import Path

import pytest
import redis

from ledger import Keys, Ledger, Wanted, chores, reads, transitions
from ledger.packing import read_record
from lowland.spec import Event, JobSpec, Status
from tests.ledger.archiving import archive, finished
from tests.ledger.playing import claimed, submit

VISION = {"team": "vision", "a": "b:c"}


def found(ledger: Ledger, **wanted: object) -> list[str]:
    """Ids of all that fit, by pages of two."""
    ids: list[str] = []
    cursor = None
    while True:
        page = ledger.run(reads.list_jobs(limit=2, cursor=cursor, wanted=Wanted(**wanted)))  # type: ignore[arg-type]
        assert len(page.jobs) <= 2
        ids += [job.id for job in page.jobs]
        cursor = page.next
        if cursor is None:
            return ids


@pytest.mark.parametrize("is_packed", [False, True], ids=["as it was submitted", "packed"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"dataset": "digits"},
        {"variant": "friendly"},
        {"model": "cnn"},
        {"owner": "bob"},
        {"name": "kmn"},
        {"name": "kmnist 1"},
        {"tags": ("team",)},
        {"tags": ("team:vision",)},
        {"tags": ("team:vision", "a:b:c")},
        {"dataset": "digits", "variant": "friendly", "owner": "bob", "tags": ("a",), "name": "k", "model": "cnn"},
    ],
    ids=str,
)
def test_a_job_is_found_by_what_it_is(
    ledger: Ledger, tmp_path: Path, wanted: dict[str, object], is_packed: bool
) -> None:
    it = finished(
        ledger, owner="bob", name="kmnist 1", tags=VISION, model="cnn", dataset="digits", sam={"variant": "friendly"}
    )
    if is_packed:
        archive(ledger, tmp_path, it)
    submit(ledger, dataset="kmnist", name="Kmnist", tags={"teams": "vision", "b": "a"})

    assert found(ledger, **wanted) == [it]
    assert found(ledger, status=Status.FAILED, **wanted) == [it]
    assert found(ledger, status=Status.QUEUED, **wanted) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"dataset": "cifar10"},
        {"variant": "sam\n"},
        {"name": "x"},
        {"tags": ("vision",)},
        {"tags": ("team:",)},
        {"tags": ("team", "none")},
        {"owner": "*"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_found(ledger: Ledger, wanted: dict[str, object]) -> None:
    submit(ledger, tags=VISION, name="a x")

    assert found(ledger, **wanted) == []


def test_pages_follow_each_other_from_the_newest_job_on(ledger: Ledger) -> None:
    ids = [submit(ledger, dataset="digits", tags={"n": str(number % 2)}, name=f"{number}") for number in range(7)]

    assert found(ledger) == ids[::-1]
    assert found(ledger, dataset="digits") == ids[::-1]
    assert found(ledger, tags=("n:1",), variant="sam") == [ids[5], ids[3], ids[1]]
    assert found(ledger, name="2", owner="ada") == [ids[2]]


def test_a_page_may_be_short_and_go_on_where_few_of_many_jobs_fit(ledger: Ledger) -> None:
    rare = submit(ledger, name="rare", owner="bob")
    for _ in range(1_100):
        submit(ledger, owner="bob")

    first = ledger.run(reads.list_jobs(limit=5, wanted=Wanted(name="rare", owner="bob")))
    second = ledger.run(reads.list_jobs(limit=5, cursor=first.next, wanted=Wanted(name="rare", owner="bob")))

    assert (first.jobs, first.next is None) == ([], False)
    assert ([job.id for job in second.jobs], second.next) == ([rare], None)


def test_a_tag_is_kept_once(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id = submit(ledger, tags=VISION)

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hget(keys.key("job", job_id), "tags") == "team:vision\na:b:c"


@pytest.mark.parametrize("way", ["delete", "forget"])
def test_nothing_is_left_in_an_index_of_a_job_that_is_gone(
    ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path, way: str
) -> None:
    packed, other = finished(ledger, tags=VISION, name="a"), finished(ledger, tags=VISION)
    archive(ledger, tmp_path, packed)

    for job_id in (packed, other):
        if way == "delete":
            ledger.run(transitions.delete(job_id))
        else:
            ledger.run(chores.forget(job_id))

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        left = {key.removeprefix(keys.prefix) for key in client.scan_iter(keys.prefix + "*")}
    assert not {key for key in left if key.startswith("jobs") or packed in key or other in key}


def test_a_job_that_is_brought_back_is_found_again_though_its_record_is_older_than_the_fields(
    ledger: Ledger, tmp_path: Path
) -> None:
    job_id = finished(ledger, tags=VISION, name="a")
    archive(ledger, tmp_path, job_id)
    record = read_record(tmp_path, job_id)
    assert record is not None
    for name in ("dataset", "variant", "model", "name", "tags"):
        del record.fields[name]
    ledger.run(chores.forget(job_id))

    assert ledger.run(chores.restore(record))

    for wanted in ({"dataset": "digits"}, {"variant": "sam"}, {"model": "cnn"}, {"name": "a"}, {"tags": ("team",)}):
        assert found(ledger, **wanted) == [job_id]


def test_many_jobs_are_cancelled_a_few_at_a_time(ledger: Ledger) -> None:
    running = submit(ledger)
    claimed(ledger)
    waiting = [submit(ledger) for _ in range(3)]
    paused = submit(ledger)
    ledger.run(transitions.ask(paused, Event.PAUSE))
    other = submit(ledger, dataset="kmnist")
    ended = finished_elsewhere(ledger)

    done, place = [], None
    while True:
        step = ledger.run(transitions.cancel_all(Wanted(dataset="digits"), most=2, start=place))
        done.append((step.cancelled, step.requested))
        place = step.next
        if place is None:
            break

    assert done == [(2, 0), (1, 1), (1, 0)]
    jobs = {job.id: job for job in ledger.run(reads.list_jobs(limit=20)).jobs}
    assert {jobs[job_id].status for job_id in [*waiting, paused]} == {"cancelled"}
    assert (jobs[running].status, jobs[running].requested) == ("running", "cancel")
    assert (jobs[other].status, jobs[ended].status) == ("queued", "cancelled")
    again = ledger.run(transitions.cancel_all(Wanted(dataset="digits"), most=20))
    assert (again.cancelled, again.requested, again.next) == (0, 0, None)


def finished_elsewhere(ledger: Ledger) -> str:
    job_id = submit(ledger)
    ledger.run(transitions.ask(job_id, Event.CANCEL))
    return job_id


def test_only_jobs_in_the_wanted_state_are_cancelled(ledger: Ledger) -> None:
    running = submit(ledger)
    claimed(ledger)
    waiting = submit(ledger)

    step = ledger.run(transitions.cancel_all(Wanted(status=Status.RUNNING), most=5))
    none = ledger.run(transitions.cancel_all(Wanted(status=Status.SUCCEEDED), most=5))

    assert (step.cancelled, step.requested) == (0, 1)
    assert (none.cancelled, none.requested, none.next) == (0, 0, None)
    assert ledger.run(reads.get_job(waiting)).status == "queued"
    assert ledger.run(reads.get_job(running)).requested == "cancel"


def test_the_place_a_job_would_have_is_the_one_it_gets(ledger: Ledger) -> None:
    submit(ledger)
    submit(ledger, owner="bob")
    submit(ledger, priority=5)

    for priority in (0, 5, 9, -1):
        spec = JobSpec.parse({"dataset": "digits", "priority": priority})
        place = ledger.run(reads.place(spec, owner="ada"))
        job_id = submit(ledger, priority=priority)
        assert ledger.run(reads.get_job(job_id)).queue == place
        ledger.run(transitions.ask(job_id, Event.CANCEL))


def test_a_strange_tag_is_found_as_it_is(ledger: Ledger) -> None:
    tag = "%s {}*[x] ρ"
    it = submit(ledger, tags={tag: tag}, name=tag)

    assert found(ledger, tags=(tag,)) == [it]
    assert found(ledger, tags=(f"{tag}:{tag}",), name=tag) == [it]
