"""GET /jobs and GET /jobs/{id}."""

import httpx2
import pytest
import redis

from ledger import Keys
from tests.api.answers import assert_problem
from tests.api.conftest import Worker


def test_a_running_job_shows_who_runs_it_and_how_far_it_is(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    lease = worker.claim()
    progress = '{"epoch":1,"epochs":2,"step":5,"steps":10,"fraction":0.5,"eta_s":1.5,"samples_per_s":100.0}'
    worker.report(lease, 1, progress=progress, accuracy="0.75", metrics='{"train_loss":0.5}')

    job = http.get(f"/jobs/{job_id}").json()

    assert (job["status"], job["worker"], job["device"], job["attempt"]) == ("running", "w1", "cpu:0", 1)
    assert (job["progress"]["fraction"], job["progress"]["eta_s"]) == (0.5, 1.5)
    assert (job["accuracy"], job["metrics"], job["queue"]) == (0.75, {"train_loss": 0.5}, None)


def test_nothing_is_left_to_wait_for_once_a_job_has_ended(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    lease = worker.claim()
    progress = '{"epoch":1,"epochs":2,"step":5,"steps":10,"fraction":0.5,"eta_s":1.5,"samples_per_s":100.0}'
    worker.report(lease, 1, progress=progress)
    worker.settle(lease, "succeeded")

    progress = http.get(f"/jobs/{job_id}").json()["progress"]

    assert (progress["step"], progress["eta_s"]) == (5, None)


def test_a_failed_job_says_why(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), "failed")

    job = http.get(f"/jobs/{job_id}").json()

    assert (job["status"], job["terminal"]) == ("failed", True)
    assert job["error"] == {
        "type": "engine-died",
        "title": "The engine died",
        "detail": "it was killed",
        "at": job["finished_at"],
    }


@pytest.mark.parametrize(
    "job_id",
    [
        pytest.param("0199f3a0-0000-7000-8000-000000000000", id="of no job"),
        pytest.param("0199F3A0-0000-7000-8000-000000000000", id="capitals"),
        pytest.param("1", id="number"),
        pytest.param("%00", id="zero byte"),
        pytest.param("%FF", id="not UTF-8"),
        pytest.param("..%5C..", id="path"),
        pytest.param("x" * 5000, id="long"),
    ],
)
def test_an_id_of_no_job_is_not_found(http: httpx2.Client, job_id: str) -> None:
    for response in (http.get(f"/jobs/{job_id}"), http.post(f"/jobs/{job_id}/cancel")):
        assert response.status_code == 404
        assert response.json()["type"] == "urn:lowland:problem:job-not-found"


def test_an_id_cannot_reach_another_key_of_the_ledger(http: httpx2.Client) -> None:
    """`job:{id}:events` is a stream, on which the reading script would fail."""
    job_id = submit(http)

    response = http.get(f"/jobs/{job_id}:events")

    assert_problem(response, 404, "job-not-found")


def test_jobs_are_listed_newest_first_in_pages(http: httpx2.Client) -> None:
    ids = [submit(http) for _ in range(5)]

    first = http.get("/jobs?limit=2")
    second = http.get(next_of(first))
    third = http.get(next_of(second))

    pages = [[job["id"] for job in page.json()["jobs"]] for page in (first, second, third)]
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert first.json()["next"] == ids[3]
    assert third.json()["next"] is None
    assert "link" not in third.headers


def test_a_list_can_be_of_one_status(http: httpx2.Client) -> None:
    first, second, third = (submit(http) for _ in range(3))
    http.post(f"/jobs/{second}/cancel")

    queued = http.get("/jobs?status=queued&limit=1")
    cancelled = http.get("/jobs?status=cancelled")

    assert [job["id"] for job in queued.json()["jobs"]] == [third]
    assert [job["id"] for job in http.get(next_of(queued)).json()["jobs"]] == [first]
    assert [job["id"] for job in cancelled.json()["jobs"]] == [second]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        pytest.param("limt=3", "limt", 'did you mean "limit"', id="unknown"),
        pytest.param("limit=0", "limit", "give a number >= 1", id="too small"),
        pytest.param("limit=201", "limit", "give a number <= 200", id="too large"),
        pytest.param("limit=many", "limit", "give an integer", id="no number"),
        pytest.param("limit=" + "9" * 5000, "limit", "give", id="huge"),
        pytest.param("status=done", "status", '"succeeded"', id="no status"),
        pytest.param("cursor=7", "cursor", 'cursor is "7"; give the `next` of the page before', id="no cursor"),
        pytest.param("x=%FF", "x", "x is not a parameter", id="not UTF-8"),
        pytest.param("limit=3&limit=4", "limit", "given more than once", id="repeated"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(http: httpx2.Client, query: str, field: str, said: str) -> None:
    problem = assert_problem(http.get(f"/jobs?{query}"), 422, "parameters-invalid")

    assert [mistake["field"] for mistake in problem["errors"]] == [field]
    assert said in problem["detail"]


def submit(http: httpx2.Client) -> str:
    return http.post("/jobs", json={"dataset": "digits"}).json()["id"]


def next_of(page: httpx2.Response) -> str:
    return page.links["next"]["url"]


def test_what_a_server_has_lost_is_not_shown_any_longer(
    http: httpx2.Client, worker: Worker, redis_url: str, keys: Keys
) -> None:
    """As after a crash of one that writes every second: the job ends otherwise than was seen before."""
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    lease = worker.claim()
    with redis.Redis.from_url(redis_url) as bare:
        kept = {name: bare.dump(name) or b"" for name in bare.scan_iter(f"{keys.prefix}*")}
        worker.settle(lease, "failed")
        assert http.get(f"/jobs/{job_id}").json()["status"] == "failed"

        for name in bare.scan_iter(f"{keys.prefix}*"):
            bare.delete(name)
        for name, value in kept.items():
            bare.restore(name, 0, value)
    worker.settle(lease, "succeeded")

    assert http.get(f"/jobs/{job_id}").json()["status"] == "succeeded"
