"""How much a key is good for: a rate of requests, and a quota of unfinished jobs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from pydantic import ValidationError

from api import ApiSettings, create_app
from ledger import Ledger
from lowland.spec.access import Scope
from tests.api.answers import assert_problem
from tests.api.callers import key, server
from tests.api.conftest import Worker

BODY = {"dataset": "digits"}


def test_a_quota_is_of_jobs_that_have_not_ended(http: httpx2.Client, ledger: Ledger, worker: Worker) -> None:
    ada = key(ledger, quota=2)
    first, second = (http.post("/jobs", json=BODY, headers=ada).json()["id"] for _ in range(2))
    lease = worker.claim()
    http.post(f"/jobs/{second}/pause", headers=ada)

    answer = http.post("/jobs", json=BODY, headers=ada)

    problem = assert_problem(answer, 429, "quota-reached")
    assert "ada may have 2 jobs" in problem["detail"]
    assert int(answer.headers["retry-after"]) > 0
    worker.settle(lease, "failed")
    third = http.post("/jobs", json=BODY, headers=ada)
    assert third.status_code == 201
    assert_problem(http.post(f"/jobs/{first}/retry", headers=ada), 429, "quota-reached")
    http.post(f"/jobs/{second}/cancel", headers=ada)
    assert http.post(f"/jobs/{first}/retry", headers=ada).status_code == 200


def test_a_job_that_is_known_by_its_idempotency_key_counts_once(http: httpx2.Client, ledger: Ledger) -> None:
    ada = {**key(ledger, quota=1), "Idempotency-Key": "k1"}

    assert http.post("/jobs", json=BODY, headers=ada).status_code == 201
    assert http.post("/jobs", json=BODY, headers=ada).status_code == 201


def test_fifty_posts_at_once_make_as_many_jobs_as_the_quota_says(http: httpx2.Client, ledger: Ledger) -> None:
    ada = key(ledger, quota=7)

    with ThreadPoolExecutor(25) as senders:
        answers = list(senders.map(lambda _: http.post("/jobs", json=BODY, headers=ada).status_code, range(50)))

    assert (answers.count(201), answers.count(429)) == (7, 43)


def test_the_servers_quota_is_each_owners_and_not_an_admins(settings: ApiSettings, ledger: Ledger) -> None:
    ada, bob, admin = key(ledger, "ada"), key(ledger, "bob"), key(ledger, "root", Scope.ADMIN)
    with server(settings, quota_jobs=1) as http:
        answers = [http.post("/jobs", json=BODY, headers=each).status_code for each in (ada, ada, bob, admin, admin)]

    assert answers == [201, 429, 201, 201, 201]


def test_a_key_that_is_used_too_often_is_told_when_to_come_back(settings: ApiSettings, ledger: Ledger) -> None:
    ada, bob, eve = key(ledger, "ada"), key(ledger, "bob"), key(ledger, "eve", rate_limit="1/hour")
    with server(settings, rate_limit="3/hour") as http:
        answers = [http.get("/jobs", headers=ada) for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert_problem(answers[3], 429, "rate-limited")
        assert 0 < int(answers[3].headers["retry-after"]) <= 3600
        assert http.get("/jobs", headers=bob).status_code == 200
        assert [http.get("/jobs", headers=eve).status_code for _ in range(2)] == [200, 429]
    with server(settings, rate_limit="3/hour") as another:
        assert another.get("/jobs", headers=ada).status_code == 429
    counted = [str(name) for name in ledger._client.scan_iter("*LIMIT*")]
    assert counted
    assert all("}:rates" in name for name in counted)


def test_more_requests_at_once_than_connections_wait_for_their_turn(settings: ApiSettings, ledger: Ledger) -> None:
    ada, many = key(ledger), 150

    async def ask() -> list[int]:
        app = create_app(settings.model_copy(update={"rate_limit": "1000/minute"}))
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver", headers=ada)
        async with app.router.lifespan_context(app), http:
            answers = await asyncio.gather(*(http.get("/jobs") for _ in range(many)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * many


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="give a number per second, minute, hour or day, as 600/minute"):
        ApiSettings(rate_limit="often")
