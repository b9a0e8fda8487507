"""GET /jobs/{id}/webhooks."""

from datetime import datetime

import httpx2
import pytest

from ledger import Ledger, chores
from ledger.chores import Chore, Sent, Told
from tests.api.answers import assert_problem
from tests.api.conftest import Worker

SECRET = "whsec_" + "A" * 32
WEBHOOK = {"url": "https://example.org/hook?of=ada", "events": ["started", "finished"], "secret": SECRET}
SOME_ID = "0199f3a0-0000-7000-8000-000000000000"


@pytest.fixture
def ended(http: httpx2.Client, worker: Worker) -> str:
    """A job with a webhook that has run; gives its path."""
    path = http.post("/jobs", json={"dataset": "digits", "webhook": WEBHOOK}).json()["links"]["self"]
    worker.settle(worker.claim(), "succeeded")
    return path


def taken(ledger: Ledger) -> dict[str, Chore]:
    """The messages that are due, by what they tell."""
    due = ledger.run(chores.take("webhook", "t1", most=5, kept_ms=60_000))
    return {chore.member.split()[1]: chore for chore in due}


def test_the_messages_of_a_job_are_listed_with_how_they_went(http: httpx2.Client, ledger: Ledger, ended: str) -> None:
    due = taken(ledger)
    ledger.run(chores.tick_off(due["started"], sent=Sent(answered=204)))
    ledger.run(chores.put_off(due["finished"], again_ms=5_000, sent=Sent(answered=503, error="it answered 503")))

    told = http.get(f"{ended}/webhooks").json()

    messages = {one["event"]: one for one in told.pop("deliveries")}
    started, finished = messages["started"], messages["finished"]
    job = http.get(ended).json()
    assert told == {
        "url": WEBHOOK["url"],
        "events": ["started", "finished"],
        "disabled_at": None,
        "disabled_reason": None,
    }
    assert started == {
        "id": Told.read(due["started"].member).message_id,
        "event": "started",
        "status": "running",
        "created_at": job["started_at"],
        "state": "delivered",
        "attempts": 1,
        "last_attempt_at": started["delivered_at"],
        "response_status": 204,
        "error": None,
        "next_attempt_at": None,
        "delivered_at": started["delivered_at"],
    }
    assert finished == {
        "id": Told.read(due["finished"].member).message_id,
        "event": "finished",
        "status": "succeeded",
        "created_at": job["finished_at"],
        "state": "pending",
        "attempts": 1,
        "last_attempt_at": finished["last_attempt_at"],
        "response_status": 503,
        "error": "it answered 503",
        "next_attempt_at": finished["next_attempt_at"],
        "delivered_at": None,
    }
    assert seconds_between(finished["last_attempt_at"], finished["next_attempt_at"]) == 5


def seconds_between(before: str, after: str) -> float:
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()


def test_a_receiver_that_is_gone_is_shown(http: httpx2.Client, ledger: Ledger, ended: str) -> None:
    gone = Sent(answered=410, error="it answered 410", is_gone=True)

    ledger.run(chores.tick_off(taken(ledger)["started"], "given_up", sent=gone))

    told = http.get(f"{ended}/webhooks").json()
    assert [one["state"] for one in told["deliveries"]] == ["given_up", "given_up"]
    assert told["disabled_at"] in {one["last_attempt_at"] for one in told["deliveries"]}
    assert told["disabled_reason"] == "it answered 410"


def test_the_secret_is_not_told(http: httpx2.Client, ended: str) -> None:
    assert SECRET not in http.get(f"{ended}/webhooks").text


def test_a_job_without_a_webhook_has_none(http: httpx2.Client) -> None:
    path = http.post("/jobs", json={"dataset": "digits"}).json()["links"]["self"]

    told = http.get(f"{path}/webhooks").json()

    assert told == {"url": None, "events": [], "disabled_at": None, "disabled_reason": None, "deliveries": []}


@pytest.mark.parametrize("job_id", [SOME_ID, "no-id"])
def test_what_is_no_job_has_none(http: httpx2.Client, job_id: str) -> None:
    assert_problem(http.get(f"/jobs/{job_id}/webhooks"), 404, "job-not-found")


def test_there_is_no_parameter(http: httpx2.Client, ended: str) -> None:
    problem = assert_problem(http.get(f"{ended}/webhooks?limit=5"), 422, "parameters-invalid")

    assert "limit is not a parameter here" in problem["detail"]
