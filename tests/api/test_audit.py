"""The audit: who did what, and how it went."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import ApiSettings
from ledger import Ledger, access
from lowland.spec.access import Scope
from tests.api.answers import assert_problem
from tests.api.callers import key, server
from tests.api.servers import redis_server
from tests.conftest import free_port

SOME_ID = "0199f3a0-0000-7000-8000-000000000000"
BODY = {"dataset": "digits"}


def entries(http: httpx2.Client, admin: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    return http.get(f"/audit{query}", headers=admin).json()["entries"]


def test_what_was_to_change_something_is_written_down(http: httpx2.Client, ledger: Ledger) -> None:
    ada, reads, admin = key(ledger, "ada"), key(ledger, "bob", Scope.READ), key(ledger, "root", Scope.ADMIN)
    known = {each.owner: each.id for each in ledger.run(access.list_keys())}
    made = http.post("/jobs", json=BODY, headers={**ada, "X-Request-ID": "r1"})
    job_id = made.json()["id"]
    http.get(f"/jobs/{job_id}", headers=ada)
    cancelled = http.post(f"/jobs/{job_id}/cancel", headers=ada)
    paused = http.post(f"/jobs/{job_id}/pause", headers={**ada, "X-Request-ID": "no id"})
    refused = http.post("/jobs", json=BODY, headers=reads)

    written = entries(http, admin)

    told = [(each["owner"], each["action"], each["subject"], each["status"], each["request_id"]) for each in written]
    assert made.headers["x-request-id"] == "r1"
    assert told[:4] == [
        ("bob", "submit_job", None, 403, refused.headers["x-request-id"]),
        ("ada", "pause_job", job_id, 409, paused.headers["x-request-id"]),
        ("ada", "cancel_job", job_id, 200, cancelled.headers["x-request-id"]),
        ("ada", "submit_job", job_id, 201, "r1"),
    ]
    assert [each["key_id"] for each in written[:2]] == [known["bob"], known["ada"]]
    assert [(each["owner"], each["action"]) for each in written[4:]] == [(access.COMMAND_LINE, "create_key")] * 3
    assert {each["subject"] for each in written[4:]} == set(known.values())


def test_of_many_jobs_the_audit_says_which_were_asked_for(http: httpx2.Client, ledger: Ledger) -> None:
    reads, admin = key(ledger, "bob", Scope.READ), key(ledger, "root", Scope.ADMIN)

    http.post("/jobs/cancel?name=a+b&tag=team%3Avisi%C3%B3n&tag=run", headers=admin)
    http.post("/jobs/cancel?all=true", headers=reads)
    http.post(f"/jobs/cancel?name={'z' * 200}", headers=admin)
    http.post("/jobs/cancel", headers=admin)
    http.post("/jobs?key=a-secret", json=BODY, headers=admin)

    assert [(each["action"], each["subject"], each["status"]) for each in entries(http, admin)[:5]] == [
        ("submit_job", None, 422),
        ("cancel_jobs", None, 422),
        ("cancel_jobs", "name=" + "z" * 123, 200),
        ("cancel_jobs", "all=true", 403),
        ("cancel_jobs", "name=a b&tag=team:visión&tag=run", 200),
    ]


def test_who_is_not_known_leaves_nothing_that_would_push_the_others_out(http: httpx2.Client, ledger: Ledger) -> None:
    admin = key(ledger, "root", Scope.ADMIN)

    assert http.post("/jobs", json=BODY).status_code == 401

    assert [each["action"] for each in entries(http, admin)] == ["create_key"]


def test_what_is_beyond_the_rate_of_a_key_is_not_written_down(http: httpx2.Client, ledger: Ledger) -> None:
    """Else whoever has a key could push the others out, as fast as it is refused."""
    ada, admin = key(ledger, rate_limit="1/hour"), key(ledger, "root", Scope.ADMIN)

    assert [http.post("/jobs", json=BODY, headers=ada).status_code for _ in range(3)] == [201, 429, 429]

    assert [each["action"] for each in entries(http, admin)] == ["submit_job", "create_key", "create_key"]


def test_what_another_sites_page_sent_is_not_written_down(http: httpx2.Client, ledger: Ledger) -> None:
    assert http.post("/jobs", json=BODY, headers={"Origin": "https://evil.example"}).status_code == 403

    assert entries(http, {}) == []


def test_what_ended_in_a_mistake_of_the_server_is_written_down(
    app: FastAPI, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = key(ledger, "root", Scope.ADMIN)
    monkeypatch.delattr("ledger.transitions.ask")
    with TestClient(app, raise_server_exceptions=False) as http:
        assert http.post(f"/jobs/{SOME_ID}/cancel", headers=admin).status_code == 500

        written = entries(http, admin)[0]

    assert (written["action"], written["subject"], written["status"]) == ("cancel_job", SOME_ID, 500)


def test_what_the_ledger_did_not_answer_is_logged_and_not_brought_to_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a Redis that is silent that would be four more seconds, for which a process that ends would wait."""
    monkeypatch.setattr("api.access.BELIEVED_S", 600.0)
    redis = ExitStack()
    settings = ApiSettings(redis_url=redis.enter_context(redis_server(free_port())), artifact_dir=tmp_path)
    with redis, server(settings) as http:
        assert http.get("/jobs").status_code == 200
        monkeypatch.delattr("ledger.access.audit")  # it would fail for want of this
        redis.close()

        assert_problem(http.post("/jobs", json=BODY), 503, "ledger-unavailable")

    assert [record.message for record in caplog.records if record.name == "api.auditing"] == [
        "audit_lost action=submit_job status=503: the ledger was away"
    ]


def test_the_audit_is_read_page_by_page(http: httpx2.Client, ledger: Ledger) -> None:
    admin = key(ledger, "root", Scope.ADMIN)
    for _ in range(3):
        http.post("/jobs", json=BODY, headers=admin)
    everything = entries(http, admin)

    first = http.get("/audit?limit=3", headers=admin).json()
    second = http.get(f"/audit?limit=3&cursor={first['next']}", headers=admin).json()

    assert first["entries"] + second["entries"] == everything
    assert (len(everything), second["next"]) == (4, None)
    wrong = assert_problem(http.get("/audit?cursor=x", headers=admin), 422, "parameters-invalid")
    assert wrong["detail"] == 'cursor is "x"; give the `next` of the page before'
    assert_problem(http.get("/audit?limit=1000", headers=admin), 422, "parameters-invalid")


def test_a_session_that_is_opened_is_written_down(http: httpx2.Client, ledger: Ledger) -> None:
    admin = key(ledger, "root", Scope.ADMIN)

    http.post("/session", headers=admin)

    assert entries(http, admin)[0]["action"] == "open_session"
