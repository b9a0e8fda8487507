"""GET /jobs with filters, and POST /jobs/cancel with the same ones."""

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from api.routes import listing
from tests.api.answers import assert_problem
from tests.api.conftest import Worker

TAGGED = {"dataset": "digits", "name": "kmnist 1", "tags": {"team": "vision", "run": "a"}, "sam": "friendly"}


def submit(http: httpx2.Client, **spec: object) -> str:
    return http.post("/jobs", json={"dataset": "digits", **spec}).json()["id"]


def listed(http: httpx2.Client, query: str) -> list[str]:
    return [job["id"] for job in http.get(f"/jobs?{query}").json()["jobs"]]


@pytest.mark.parametrize(
    "query",
    [
        "variant=friendly",
        "variant=FriendlySAM",
        "model=cnn&status=queued",
        "name=kmnist",
        "tag=team",
        "tag=team:vision",
        "tag=team:vision&tag=run:a",
        "dataset=digits&variant=friendly&model=cnn&name=kmnist%201&tag=team&owner=anonymous&status=queued",
    ],
)
def test_jobs_are_found_by_what_they_are(http: httpx2.Client, query: str) -> None:
    it = submit(http, **TAGGED)
    submit(http, dataset="kmnist", name="other", tags={"teams": "vision"})

    assert listed(http, query) == [it]


def test_a_function_has_no_dataset_and_no_model(http: httpx2.Client) -> None:
    it = http.post("/jobs", json={"function": "x**2", "start": [1]}).json()["id"]

    assert listed(http, "variant=sam") == [it]
    assert listed(http, "model=resnet9") == []


def test_a_model_of_torchvision_is_named_as_in_a_job(http: httpx2.Client) -> None:
    it = submit(http, dataset="cifar10", model="torchvision/resnet50")

    assert listed(http, "model=torchvision/resnet50") == [it]


def test_the_link_to_the_next_page_keeps_the_filters(http: httpx2.Client) -> None:
    ids = [submit(http, **TAGGED) for _ in range(3)]

    first = http.get("/jobs?limit=2&tag=team:vision&tag=run&name=kmnist%201")
    link = first.links["next"]["url"]

    assert parse_qs(urlsplit(link).query) == {
        "limit": ["2"],
        "cursor": [ids[1]],
        "tag": ["team:vision", "run"],
        "name": ["kmnist 1"],
    }
    assert [job["id"] for job in http.get(link).json()["jobs"]] == [ids[0]]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        pytest.param("dataset=kmnits", "dataset", 'did you mean "kmnist"', id="no dataset"),
        pytest.param("variant=samm", "variant", 'did you mean "sam"', id="no variant"),
        pytest.param("name=", "name", "at least 1 character", id="empty"),
        pytest.param("name=" + "x" * 201, "name", "at most 200 characters", id="long"),
        pytest.param("tag=a%0Ab", "tag.0", "one line of text", id="two lines"),
        pytest.param("tag=%00", "tag.0", "one line of text", id="zero byte"),
        pytest.param("&".join(f"tag={n}" for n in range(9)), "tag", "at most 8 entries", id="many tags"),
        pytest.param("name=a&name=b", "name", "more than once", id="two names"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(http: httpx2.Client, query: str, field: str, said: str) -> None:
    for answer in (http.get(f"/jobs?{query}"), http.post(f"/jobs/cancel?{query}")):
        problem = assert_problem(answer, 422, "parameters-invalid")
        assert [mistake["field"] for mistake in problem["errors"]] == [field]
        assert said in problem["detail"]


def test_all_that_fit_are_cancelled_and_no_others(http: httpx2.Client, worker: Worker) -> None:
    running = submit(http, **TAGGED)
    worker.claim()
    waiting, other = submit(http, **TAGGED), submit(http)

    done = http.post("/jobs/cancel?tag=team:vision")
    again = http.post("/jobs/cancel?tag=team:vision")

    assert (done.status_code, done.json()) == (200, {"cancelled": 1, "requested": 1, "next": None})
    assert again.json() == {"cancelled": 0, "requested": 0, "next": None}
    assert http.get(f"/jobs/{waiting}").json()["status"] == "cancelled"
    assert http.get(f"/jobs/{running}").json()["requested"] == "cancel"
    assert http.get(f"/jobs/{other}").json()["status"] == "queued"


def test_very_many_are_cancelled_request_by_request(http: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_CANCELLED", 2)
    for _ in range(5):
        submit(http)
    counts, cursor = [], ""
    while True:
        done = http.post(f"/jobs/cancel?all=true{cursor}").json()
        counts.append(done["cancelled"])
        if done["next"] is None:
            break
        cursor = f"&cursor={done['next']}"

    assert counts == [2, 2, 1]
    assert len(listed(http, "status=cancelled")) == 5


@pytest.mark.parametrize("query", ["", "all=false", "all=true&status=queued"])
def test_to_cancel_every_job_must_be_said_alone(http: httpx2.Client, query: str) -> None:
    it = submit(http)

    problem = assert_problem(http.post(f"/jobs/cancel?{query}"), 422, "parameters-invalid")

    assert "all=true" in problem["detail"]
    assert http.get(f"/jobs/{it}").json()["status"] == "queued"


@pytest.mark.parametrize("cursor", ["7", "failed.01a20eac-4e6a-74fe-bc88-99ef8f3dca2e", "queued.x", "queued."])
def test_a_cursor_is_the_next_of_an_answer(http: httpx2.Client, cursor: str) -> None:
    problem = assert_problem(http.post(f"/jobs/cancel?all=true&cursor={cursor}"), 422, "parameters-invalid")

    assert problem["errors"][0]["field"] == "cursor"
