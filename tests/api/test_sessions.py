"""A browser's session: a key traded for a cookie that other sites' pages can do nothing with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from ledger import Ledger, access
from tests.api.answers import assert_problem
from tests.api.callers import key, secret_of

BODY = {"dataset": "digits"}


@pytest.fixture
def browser(http: httpx2.Client) -> Iterator[httpx2.Client]:
    """A client that keeps cookies, as the one of every test does."""
    yield http
    http.cookies.clear()


@pytest.fixture
def ada(ledger: Ledger) -> dict[str, str]:
    return key(ledger, "ada")


def opened(browser: httpx2.Client, ada: dict[str, str]) -> dict[str, str]:
    """Open a session; gives the header that a page of ours would send."""
    answer = browser.post("/session", json={"key": secret_of(ada)})
    assert answer.status_code == 200, answer.text
    return {"X-CSRF-Token": answer.json()["csrf_token"]}


def test_a_key_is_traded_for_a_cookie_that_no_script_reads(browser: httpx2.Client, ada: dict[str, str]) -> None:
    answer = browser.post("/session", json={"key": secret_of(ada)})

    assert answer.json()["owner"] == "ada"
    assert answer.json()["scopes"] == ["read", "submit"]
    said = {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= said
    assert "Secure" not in said
    assert secret_of(ada) not in answer.headers["set-cookie"]
    assert browser.get("/jobs").status_code == 200


def test_a_session_of_a_key_that_expires_sooner_ends_with_it(browser: httpx2.Client, ledger: Ledger) -> None:
    answer = browser.post("/session", headers=key(ledger, "ada", expires_in_ms=3_600_000))

    (known,) = ledger.run(access.list_keys())
    assert known.expires_at is not None
    assert datetime.fromisoformat(answer.json()["expires_at"]) == known.expires_at
    (age,) = [part for part in answer.headers["set-cookie"].split("; ") if part.startswith("Max-Age=")]
    assert 3590 < int(age.removeprefix("Max-Age=")) <= 3600


def test_a_session_of_a_key_that_expires_later_lasts_twelve_hours(browser: httpx2.Client, ledger: Ledger) -> None:
    answer = browser.post("/session", headers=key(ledger, "ada", expires_in_ms=48 * 3_600_000))

    left = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12, seconds=1)
    assert "Max-Age=43200;" in answer.headers["set-cookie"]


def test_over_https_the_cookie_is_for_https(browser: httpx2.Client, ada: dict[str, str]) -> None:
    answer = browser.post("https://testserver/session", headers=ada)

    assert "Secure" in answer.headers["set-cookie"]


def test_a_page_of_ours_may_change_something(browser: httpx2.Client, ada: dict[str, str]) -> None:
    token = opened(browser, ada)

    answer = browser.post("/jobs", json=BODY, headers={**token, "Origin": "http://testserver"})

    assert answer.status_code == 201
    assert [job["id"] for job in browser.get("/jobs", headers=ada).json()["jobs"]] == [answer.json()["id"]]
    assert browser.get("/session").json()["csrf_token"] == token["X-CSRF-Token"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"token": "right", "Origin": "https://evil.example"},
        {"token": "right", "Origin": "null"},
        {"token": "right", "Origin": "http://testserver.evil.example"},
    ],
)
def test_a_page_of_another_site_may_not(browser: httpx2.Client, ada: dict[str, str], headers: dict[str, str]) -> None:
    token = opened(browser, ada)
    sent = {name: value for name, value in headers.items() if name != "token"} | (token if "token" in headers else {})

    for method, path in [("POST", "/jobs"), ("DELETE", "/session")]:
        assert_problem(browser.request(method, path, json=BODY, headers=sent), 403, "cross-site-refused")
    assert browser.get("/jobs").json()["jobs"] == []


def test_who_shows_a_key_needs_no_token(browser: httpx2.Client, ada: dict[str, str]) -> None:
    opened(browser, ada)

    assert browser.post("/jobs", json=BODY, headers=ada).status_code == 201


def test_a_closed_session_is_over_at_once(browser: httpx2.Client, ada: dict[str, str]) -> None:
    token = opened(browser, ada)
    cookie = browser.cookies["lowland_session"]

    closed = browser.delete("/session", headers=token)

    assert closed.status_code == 204
    assert "lowland_session" not in browser.cookies
    again = browser.get("/jobs", headers={"Cookie": f"lowland_session={cookie}"})
    assert_problem(again, 401, "key-refused")


def test_a_session_ends_with_its_key(
    browser: httpx2.Client, ada: dict[str, str], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access.BELIEVED_S", 0.0)
    opened(browser, ada)
    (known,) = ledger.run(access.list_keys())

    ledger.run(access.revoke_key(known.id))

    assert_problem(browser.get("/jobs"), 401, "key-refused")


@pytest.mark.parametrize("body", [{}, {"key": 1}, {"key": "k", "more": 1}, [], "k"])
def test_what_shows_no_key_opens_no_session(browser: httpx2.Client, ada: dict[str, str], body: object) -> None:
    assert_problem(browser.post("/session", json=body), 400, "body-malformed")


def test_without_keys_there_is_nothing_to_trade(browser: httpx2.Client) -> None:
    assert_problem(browser.post("/session", json={"key": "k"}), 401, "key-refused")
    assert browser.get("/session").json()["csrf_token"] is None
