"""Idempotency-Key: a POST that is sent again makes no second job."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import redis

from ledger import Keys, Ledger, chores
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.ledger.archiving import WEIGHTS

BODY = {"dataset": "digits", "name": "once"}


def post(http: httpx2.Client, key: str | bytes, body: dict[str, object] | None = None) -> httpx2.Response:
    return http.post("/jobs", json=BODY if body is None else body, headers=[(b"idempotency-key", _bytes(key))])


def _bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


def ids(http: httpx2.Client) -> list[str]:
    return [job["id"] for job in http.get("/jobs").json()["jobs"]]


def test_the_same_key_and_body_give_the_same_job_as_it_stands_now(http: httpx2.Client, worker: Worker) -> None:
    first = post(http, "k1")
    worker.claim()

    again = post(http, "k1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "running")
    assert ids(http) == [first.json()["id"]]


def test_space_around_a_key_is_no_part_of_it(http: httpx2.Client) -> None:
    first = post(http, "k 1").json()["id"]

    assert post(http, " k 1").json()["id"] == post(http, "k 1 \t").json()["id"] == first


def test_a_body_is_the_same_however_it_is_spaced_and_ordered(http: httpx2.Client) -> None:
    first = post(http, "k1")

    other_order = http.post(
        "/jobs",
        content=b'{ "name": "on\\u0063e",\n "dataset": "digits" }',
        headers={"content-type": "application/json", "idempotency-key": "k1"},
    )

    assert other_order.json()["id"] == first.json()["id"]


def test_another_body_under_the_same_key_is_refused_and_nothing_is_queued(http: httpx2.Client) -> None:
    first = post(http, "k1").json()["id"]

    problem = assert_problem(post(http, "k1", {"dataset": "digits"}), 422, "idempotency-key-reused")

    assert first in problem["detail"]
    assert '"k1"' in problem["detail"]
    assert ids(http) == [first]


def test_a_secret_belongs_to_the_body(http: httpx2.Client) -> None:
    webhook = {"url": "https://example.org/hook", "secret": "whsec_" + "A" * 32}
    first = post(http, "k1", {**BODY, "webhook": webhook})

    same = post(http, "k1", {**BODY, "webhook": webhook})
    other = post(http, "k1", {**BODY, "webhook": {**webhook, "secret": "whsec_" + "B" * 32}})

    assert first.json()["id"] == same.json()["id"]
    assert_problem(other, 422, "idempotency-key-reused")


def test_a_body_that_was_refused_leaves_its_key_unused(http: httpx2.Client) -> None:
    assert_problem(post(http, "k1", {"dataset": "nothing"}), 422, "spec-invalid")

    assert post(http, "k1").status_code == 201


def test_the_key_of_a_job_that_was_deleted_makes_no_other(http: httpx2.Client, worker: Worker, ledger: Ledger) -> None:
    job_id = post(http, "k1").json()["id"]
    worker.settle(worker.claim(), "succeeded")
    ledger.run(chores.forget(job_id))

    problem = assert_problem(post(http, "k1"), 410, "job-gone")

    assert job_id in problem["detail"]
    assert ids(http) == []


def test_a_key_is_known_for_a_day(http: httpx2.Client, redis_url: str, keys: Keys) -> None:
    post(http, "k1")

    with redis.Redis.from_url(redis_url) as client:
        left_ms = client.pttl(keys.key("idempotency", "anonymous", "k1"))

    assert 86_390_000 < left_ms <= 86_400_000


def test_fifty_posts_at_once_with_one_key_make_one_job(http: httpx2.Client) -> None:
    with ThreadPoolExecutor(50) as senders:
        answers = list(senders.map(lambda _: post(http, "k1"), range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(ids(http)) == 1


@pytest.mark.parametrize("key", ["a", "x" * 255, 'a "quoted" %s {lowland}: key', "../..:*"])
def test_a_key_is_any_short_printable_text(http: httpx2.Client, key: str) -> None:
    first = post(http, key).json()["id"]

    assert post(http, key).json()["id"] == first


@pytest.mark.parametrize("key", ["", "x" * 256, "grün", b"\xff", "a\tb"], ids=repr)
def test_any_other_key_is_refused(http: httpx2.Client, key: str | bytes) -> None:
    problem = assert_problem(post(http, key), 422, "parameters-invalid")

    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert "1 to 255 printable ASCII characters" in problem["detail"]
    assert ids(http) == []


def test_two_keys_are_refused(http: httpx2.Client) -> None:
    answer = http.post("/jobs", json=BODY, headers=[("idempotency-key", "a"), ("idempotency-key", "b")])

    assert "more than once" in assert_problem(answer, 422, "parameters-invalid")["detail"]
    assert ids(http) == []


def test_a_job_is_given_again_though_the_weights_it_started_from_are_gone(
    http: httpx2.Client, worker: Worker, ledger: Ledger
) -> None:
    origin = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    lease = worker.claim()
    worker.report(lease, 1, **{"artifact:model.safetensors": json.dumps({**WEIGHTS, "token": lease.token})})
    worker.settle(lease, "succeeded")
    body: dict[str, object] = {"dataset": "digits", "model": {"name": "mlp", "init_from": {"job": origin}}}
    first = post(http, "k1", body)
    ledger.run(chores.forget(origin))

    assert first.status_code == 201
    assert post(http, "k1", body).json()["id"] == first.json()["id"]
    assert_problem(post(http, "k2", body), 422, "spec-invalid")
