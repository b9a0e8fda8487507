"""API keys: who comes in, and what an owner sees and touches."""

import json
import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from api import ApiSettings
from api.access import Gate
from ledger import Ledger, access
from lowland.spec.access import Scope
from tests.api.answers import assert_problem
from tests.api.callers import key, secret_of, server, shown
from tests.api.conftest import Worker
from tests.ledger.archiving import WEIGHTS

SOME_ID = "0199f3a0-0000-7000-8000-000000000000"
SECRET = "lowland_" + "s" * 40
#: Say nothing about anybody's work.
OPEN = {"get_health", "get_readiness"}


def post(http: httpx2.Client, headers: dict[str, str], **body: Any) -> str:
    answer = http.post("/jobs", json={"dataset": "digits", **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_without_any_key_everybody_is_anonymous_and_may_do_everything(http: httpx2.Client) -> None:
    job = http.post("/jobs", json={"dataset": "digits"}).json()

    assert http.get(job["links"]["self"]).status_code == 200
    assert http.get("/workers").status_code == 200
    assert http.get("/audit").json()["entries"][0]["owner"] == "anonymous"
    assert http.get("/session").json()["scopes"] == ["admin", "read", "submit"]


def test_with_a_key_every_route_but_those_about_nobodys_work_wants_one(
    http: httpx2.Client, document: dict[str, Any], ledger: Ledger
) -> None:
    key(ledger)

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":  # what all of them take
                continue
            answer = http.request(method, re.sub(r"{\w+}", SOME_ID, path), json={"key": "k"})
            if operation["operationId"] in OPEN:
                assert answer.status_code == 200
            else:
                slug = "key-refused" if operation["operationId"] == "open_session" else "key-missing"
                assert_problem(answer, 401, slug)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert http.get("/openapi.json").status_code == http.get("/docs").status_code == 200


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer grün", "nonsense"])
def test_what_is_no_key_opens_nothing(http: httpx2.Client, ledger: Ledger, header: str) -> None:
    key(ledger)

    answer = http.get("/jobs", headers=[(b"authorization", header.encode())])

    assert answer.status_code == 401
    assert "nonsense" not in answer.text


def test_a_key_is_good_for_its_scopes_only(http: httpx2.Client, ledger: Ledger) -> None:
    reads, submits, admin = (key(ledger, "ada", scope) for scope in (Scope.READ, Scope.SUBMIT, Scope.ADMIN))
    job_id = post(http, submits)

    problem = assert_problem(http.post("/jobs", json={"dataset": "digits"}, headers=reads), 403, "scope-missing")
    assert problem["detail"] == "this needs a key with the scope submit; yours has read"
    assert_problem(http.post(f"/jobs/{job_id}/cancel", headers=reads), 403, "scope-missing")
    assert http.get(f"/jobs/{job_id}", headers=reads).status_code == 200
    assert_problem(http.get(f"/jobs/{job_id}", headers=submits), 403, "scope-missing")
    for path in ("/workers", "/audit"):
        assert_problem(http.get(path, headers=reads), 403, "scope-missing")
        assert http.get(path, headers=admin).status_code == 200
    assert_problem(http.post("/workers/w1/drain", headers=submits), 403, "scope-missing")
    assert http.get(f"/jobs/{job_id}", headers=admin).status_code == 200
    assert http.post(f"/jobs/{job_id}/cancel", headers=admin).status_code == 200


def test_what_may_not_be_done_is_refused_before_what_was_sent_is_looked_at(http: httpx2.Client, ledger: Ledger) -> None:
    key(ledger)

    assert_problem(http.post("/jobs", json={"dataset": "nothing"}), 401, "key-missing")


def test_others_jobs_are_not_there(http: httpx2.Client, ledger: Ledger, worker: Worker) -> None:
    ada, bob = key(ledger, "ada"), key(ledger, "bob")
    hers = post(http, ada)
    lease = worker.claim()
    worker.report(lease, 1, **{"artifact:model.safetensors": json.dumps({**WEIGHTS, "token": lease.token})})
    worker.settle(lease, "succeeded")

    for method, rest in [
        ("GET", ""),
        ("GET", "/artifacts/model.safetensors"),
        ("POST", "/cancel"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/retry"),
    ]:
        assert_problem(http.request(method, f"/jobs/{hers}{rest}", headers=bob), 404, "job-not-found")
    body = {"dataset": "digits", "model": {"name": "mlp", "init_from": {"job": hers}}}
    problem = assert_problem(http.post("/jobs", json=body, headers=bob), 422, "spec-invalid")
    assert "not known" in problem["detail"]
    assert http.post("/jobs", json=body, headers=ada).status_code == 201
    assert http.get(f"/jobs/{hers}", headers=ada).json()["status"] == "succeeded"


def test_an_owner_lists_its_own_jobs_and_an_admin_everybodys(http: httpx2.Client, ledger: Ledger) -> None:
    ada, bob, admin = key(ledger, "ada"), key(ledger, "bob"), key(ledger, "root", Scope.ADMIN)
    hers, his = [post(http, ada) for _ in range(3)], post(http, bob)

    def listed(headers: dict[str, str], query: str = "") -> list[str]:
        return [job["id"] for job in http.get(f"/jobs{query}", headers=headers).json()["jobs"]]

    assert listed(ada) == hers[::-1]
    assert listed(bob) == [his]
    assert listed(admin) == [his, *hers[::-1]]
    assert listed(ada, "?status=queued&limit=2") == hers[:0:-1]
    page = http.get("/jobs?limit=2", headers=ada).json()
    assert listed(ada, f"?limit=2&cursor={page['next']}") == hers[:1]


def test_an_idempotency_key_is_an_owners_own(http: httpx2.Client, ledger: Ledger) -> None:
    again = {"Idempotency-Key": "k1"}
    ada, bob = key(ledger, "ada"), key(ledger, "bob")

    assert post(http, ada | again) == post(http, ada | again)
    assert post(http, ada | again) != post(http, bob | again)


def test_a_key_expires(http: httpx2.Client, ledger: Ledger) -> None:
    problem = assert_problem(http.get("/jobs", headers=key(ledger, expires_in_ms=0)), 401, "key-refused")

    assert "has expired" in problem["detail"]


def test_a_revoked_key_works_for_some_seconds_only_and_opens_no_door(
    http: httpx2.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access.BELIEVED_S", 0.0)
    ada = key(ledger)
    assert http.get("/jobs", headers=ada).status_code == 200
    (known,) = ledger.run(access.list_keys())

    ledger.run(access.revoke_key(known.id))

    assert_problem(http.get("/jobs", headers=ada), 401, "key-refused")
    assert_problem(http.get("/jobs"), 401, "key-missing")
    ledger.run(access.revoke_all_keys())
    assert http.get("/jobs").status_code == 200


def test_keys_of_the_environment_need_no_ledger_and_guard_the_server(settings: ApiSettings, ledger: Ledger) -> None:
    with server(settings, api_keys=SecretStr(f"ada:read+submit:{SECRET},bob:read:{'b' * 32}")) as http:
        made = key(ledger, "eve")

        assert_problem(http.get("/jobs"), 401, "key-missing")
        assert http.get("/session", headers=shown(SECRET)).json()["owner"] == "ada"
        assert http.get("/session", headers=shown("b" * 32)).json()["scopes"] == ["read"]
        assert http.get("/session", headers=made).json()["owner"] == "eve"


def test_a_server_that_requires_keys_is_closed_while_there_is_none(settings: ApiSettings) -> None:
    with server(settings, require_api_key=True) as http:
        assert_problem(http.get("/jobs"), 401, "key-missing")
        assert http.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("secretsecret", "entry 1 has 1 parts; give OWNER:SCOPES:KEY"),
        (f"ada:reed:{SECRET}", 'the scope is "reed"; give read, submit, admin'),
        (f"ada::{SECRET}", 'the scope is ""; give read, submit, admin'),
        (f"a:d:a:read:{SECRET}", "entry 1 has 5 parts"),
        (f"ada b:read:{SECRET}", 'the owner is "ada b"; give 1 to 64'),
        ("ada:read:secretsecret", "the key of ada is not 32 to 200"),
        (f"ada:read:{SECRET},bob:read:{SECRET}", "entry 2 has the key of an entry before"),
    ],
)
def test_keys_of_the_environment_that_cannot_be_read_are_refused_without_telling_them(given: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ApiSettings(api_keys=SecretStr(given))

    assert message in str(refused.value)
    assert "secretsecret" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_the_settings_do_not_tell_the_keys() -> None:
    settings = ApiSettings(api_keys=SecretStr(f"ada:read:{SECRET}"))

    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_wrong_keys_do_not_fill_the_memory(
    app: FastAPI, http: httpx2.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access._REMEMBERED", 3)
    key(ledger)

    for number in range(10):
        assert http.get("/jobs", headers=shown(f"wrong{number}")).status_code == 401

    gate: Gate = app.state.gate
    assert len(gate._believed) <= 3


def test_a_key_is_nowhere_in_redis(ledger: Ledger) -> None:
    secret = secret_of(key(ledger, name="laptop"))

    values: list[object] = []
    client = ledger._client
    for found in client.scan_iter(ledger.keys.prefix + "*"):
        match client.type(found):
            case "hash":
                values.append(client.hgetall(found))
            case "stream":
                values.append(client.xrange(found))
            case _:
                values.append(client.get(found))
        values.append(found)
    assert "laptop" in repr(values)
    assert secret not in repr(values)


def test_to_another_owner_a_job_is_not_there_whatever_is_asked_of_it(
    http: httpx2.Client, document: dict[str, Any], ledger: Ledger
) -> None:
    ada, bob = key(ledger, owner="ada"), key(ledger, owner="bob")
    job_id = post(http, ada)
    routes = [
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/jobs/{job_id}") and method != "parameters"
    ]

    for method, path in routes:
        blanks = path.replace("{job_id}", job_id).replace("{name}", "model.safetensors")
        assert_problem(http.request(method, blanks, headers=bob), 404, "job-not-found")

    assert len(routes) >= 11
    assert http.get("/jobs", headers=bob).json()["jobs"] == []
    assert_problem(http.get("/jobs?owner=ada", headers=bob), 422, "parameters-invalid")
    assert http.post("/jobs/cancel?all=true", headers=bob).json()["cancelled"] == 0
    assert http.get(f"/jobs/{job_id}", headers=ada).json()["status"] == "queued"
