"""POST /jobs?dry_run=true: what would become of a job."""

from typing import Any

import httpx2
import pytest
import redis

from ledger import Keys, Ledger
from lowland.spec import JobSpec
from lowland.spec.estimate import estimate
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.ledger import playing

BODY = {"dataset": "digits", "sam": {"variant": "sam", "rho": 5.0}}


def try_out(http: httpx2.Client, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = http.post("/jobs?dry_run=true", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_dry_run_says_what_would_become_of_the_job(http: httpx2.Client) -> None:
    said = try_out(http, BODY)

    spec = JobSpec.parse(BODY)
    assert said == {
        "spec": spec.model_dump(mode="json"),
        "warnings": [
            {
                "field": "sam.rho",
                "value": 5.0,
                "detail": "sam.rho is 5, 100 × the usual 0.05 of sam on digits; training may not converge",
            }
        ],
        "estimate": {
            "seconds": None,
            "seconds_from": "no job of this dataset, model and variant has succeeded yet",
            **estimate(spec).model_dump(),
        },
        "queue": {"position": 1, "reason": "no live worker offers any device"},
    }


def test_a_dry_run_leaves_nothing_behind(http: httpx2.Client, redis_url: str, keys: Keys) -> None:
    with redis.Redis.from_url(redis_url) as client:
        http.get("/jobs")
        before = set(client.scan_iter(keys.prefix + "*"))

        try_out(http, BODY, **{"Idempotency-Key": "k"})

        left = set(client.scan_iter(keys.prefix + "*")) - before
        # that somebody has asked is in the audit
        assert {name.decode().removeprefix(keys.prefix).split(":")[0] for name in left} <= {"audit", "request"}
    assert "idempotent-replayed" not in http.post("/jobs", json=BODY, headers={"Idempotency-Key": "k"}).headers


def test_a_dry_run_keeps_the_secret_to_itself(http: httpx2.Client) -> None:
    secret = "whsec_" + "A" * 32

    said = try_out(http, {**BODY, "webhook": {"url": "https://example.org", "secret": secret}})

    assert said["spec"]["webhook"]["secret"] is None


def test_the_seconds_are_those_of_finished_jobs_like_it(http: httpx2.Client, worker: Worker) -> None:
    for epochs in (2, 4):
        http.post("/jobs", json={"dataset": "digits", "epochs": epochs, "seed": epochs})
        worker.settle(worker.claim(), "succeeded")

    alike, other = try_out(http, {"dataset": "digits"}), try_out(http, {"dataset": "digits", "batch_size": 7})

    assert alike["estimate"]["seconds"] >= 0
    assert alike["estimate"]["seconds_from"] == "the median of 2 finished jobs like this one, wherever they ran"
    assert other["estimate"]["seconds"] is None
    assert "none of the latest 2 jobs" in other["estimate"]["seconds_from"]


def test_the_place_is_the_one_behind_those_that_wait(http: httpx2.Client, worker: Worker) -> None:
    del worker
    for _ in range(2):
        http.post("/jobs", json={"dataset": "digits"})

    assert try_out(http, BODY)["queue"] == {"position": 3, "reason": "2 jobs ahead"}
    assert try_out(http, {**BODY, "priority": 1})["queue"] == {"position": 1, "reason": "next for a free device"}


def test_nothing_is_in_the_way_where_a_worker_has_nothing_to_do(http: httpx2.Client, ledger: Ledger) -> None:
    playing.enroll(ledger)
    assert playing.claim(ledger) is None

    assert try_out(http, BODY)["queue"] == {"position": 1, "reason": "next for a free device"}


def test_a_job_that_would_be_refused_is_refused(http: httpx2.Client) -> None:
    wrong = http.post("/jobs?dry_run=true", json={"dataset": "digits", "sam": {"rho": -1}})

    assert assert_problem(wrong, 422, "spec-invalid")["errors"][0]["field"] == "sam.rho"


@pytest.mark.parametrize("query", ["dry_run=perhaps", "dry_run=true&dry_run=false", "dryrun=true"])
def test_it_is_said_clearly_or_refused(http: httpx2.Client, query: str) -> None:
    assert_problem(http.post(f"/jobs?{query}", json=BODY), 422, "parameters-invalid")
    assert http.get("/jobs").json()["jobs"] == []


def test_what_is_no_dry_run_makes_a_job(http: httpx2.Client) -> None:
    assert http.post("/jobs?dry_run=false", json=BODY).status_code == 201
