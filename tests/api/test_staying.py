"""How long a connection that follows a job may stay, and how many there may be. A real server, over sockets."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest
import redis

from api.waiting import LOOK_QUEUED_S
from ledger import Keys, Ledger, access, transitions
from lowland.spec import Event
from tests.api.answers import assert_problem
from tests.api.callers import key, secret_of
from tests.api.events import sent
from tests.api.servers import api_server
from tests.ledger.playing import submit
from tests.waiting import until

MOST = 3
#: How soon a client that has hung up costs nothing any more.
GONE_S = 2.0
FOLLOWS = ["events", "logs?follow=true", "logs?follow=true&source=events"]


@pytest.fixture(scope="module")
def shared_keys() -> Keys:
    return Keys("{tstay}:")


@pytest.fixture(scope="module")
def url(redis_url: str, shared_keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that lets each key follow a few times, and looks often whether it is still good."""
    store = tmp_path_factory.mktemp("artifacts")
    with api_server(redis_url, shared_keys, store, LOWLAND_STREAMS_PER_KEY=str(MOST), LOWLAND_PING_S="0.1") as running:
        yield running


@pytest.fixture
def ledger(redis_url: str, shared_keys: Keys) -> Iterator[Ledger]:
    """The shared server's; without keys again afterwards."""
    with Ledger(redis_url, shared_keys) as opened:
        yield opened
        opened.run(access.revoke_all_keys())


@pytest.fixture
def web(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def ada(ledger: Ledger) -> dict[str, str]:
    return key(ledger)


def test_connections_end_when_their_key_is_revoked(web: httpx2.Client, ledger: Ledger, ada: dict[str, str]) -> None:
    job_id = submit(ledger, owner="ada")
    (known,) = ledger.run(access.list_keys())
    with ExitStack() as streams:
        answers = [streams.enter_context(web.stream("GET", f"/jobs/{job_id}/{path}", headers=ada)) for path in FOLLOWS]
        assert [answer.status_code for answer in answers] == [200] * len(FOLLOWS)
        ledger.run(access.revoke_key(known.id))

        events, _, lines = (answer.read().decode() for answer in answers)

    assert [event.name for event in sent(events.splitlines())] == ["queued"]
    assert [json.loads(line)["event"] for line in lines.splitlines() if line] == ["queued"]
    assert_problem(web.get(f"/jobs/{job_id}/events", headers=ada), 401, "key-refused")


def test_a_connection_ends_when_its_key_expires(web: httpx2.Client, ledger: Ledger) -> None:
    job_id = submit(ledger, owner="ada")
    with web.stream("GET", f"/jobs/{job_id}/events", headers=key(ledger, expires_in_ms=2000)) as answer:
        assert answer.status_code == 200
        assert [event.name for event in sent(answer.iter_lines())] == ["queued"]


def test_a_connection_ends_when_its_session_is_closed(web: httpx2.Client, ledger: Ledger, ada: dict[str, str]) -> None:
    job_id = submit(ledger, owner="ada")
    token = web.post("/session", json={"key": secret_of(ada)}).json()["csrf_token"]
    with web.stream("GET", f"/jobs/{job_id}/events") as answer:
        events = sent(answer.iter_lines())
        assert next(events).name == "queued"
        assert web.delete("/session", headers={"X-CSRF-Token": token}).status_code == 204

        assert list(events) == []


def test_a_connection_without_a_key_ends_when_the_first_key_is_made(web: httpx2.Client, ledger: Ledger) -> None:
    needs_no_key(web)
    job_id = submit(ledger)
    with web.stream("GET", f"/jobs/{job_id}/events") as answer:
        key(ledger)

        assert [event.name for event in sent(answer.iter_lines())] == ["queued"]


def test_a_connection_stays_while_its_key_is_good(web: httpx2.Client, ledger: Ledger, ada: dict[str, str]) -> None:
    job_id = submit(ledger, owner="ada")
    with web.stream("GET", f"/jobs/{job_id}/events", headers=ada) as answer:
        lines = answer.iter_lines()
        pings = 0
        while pings < 5:  # it was looked at again before each
            pings += next(lines) == ": ping"
        ledger.run(transitions.ask(job_id, Event.CANCEL))

        assert [event.name for event in sent(lines)] == ["cancelled", "end"]


def test_events_as_lines_are_never_silent_for_long(web: httpx2.Client, ledger: Ledger, ada: dict[str, str]) -> None:
    job_id = submit(ledger, owner="ada")
    with web.stream("GET", f"/jobs/{job_id}/logs?follow=true&source=events", headers=ada) as answer:
        lines = answer.iter_lines()
        first, *pings = (next(lines) for _ in range(4))
        ledger.run(transitions.ask(job_id, Event.CANCEL))

        rest = [json.loads(line) for line in lines if line]

    assert (json.loads(first)["event"], pings) == ("queued", [""] * 3)
    assert [event["event"] for event in rest] == ["cancelled"]


@pytest.mark.parametrize("path", FOLLOWS)
def test_a_key_follows_so_many_times_at_once_and_again_when_connections_were_cut(
    web: httpx2.Client, ledger: Ledger, ada: dict[str, str], path: str
) -> None:
    job_id, bob = submit(ledger, owner="ada"), key(ledger, "bob")
    bobs = submit(ledger, owner="bob")
    with ExitStack() as streams:
        for _ in range(MOST):
            opened = streams.enter_context(web.stream("GET", f"/jobs/{job_id}/{path}", headers=ada))
            assert opened.status_code == 200

        refused = web.get(f"/jobs/{job_id}/{path}", headers=ada)

        assert f"{MOST} connections" in assert_problem(refused, 429, "too-many-streams")["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert web.get(f"/jobs/{job_id}/logs", headers=ada).status_code == 200
        with web.stream("GET", f"/jobs/{bobs}/{path}", headers=bob) as another:
            assert another.status_code == 200
    # the connections are cut
    until(lambda: follows(web, job_id, path, ada), "there is room again")


def test_connections_that_are_refused_or_end_by_themselves_do_not_count(
    web: httpx2.Client, ledger: Ledger, ada: dict[str, str]
) -> None:
    job_id = submit(ledger, owner="ada")
    ledger.run(transitions.ask(job_id, Event.CANCEL))
    last = list(sent(web.get(f"/jobs/{job_id}/events", headers=ada).iter_lines()))[-1].id
    assert last is not None
    unknown = "0199f3a0-0000-7000-8000-000000000000"

    for _ in range(2 * MOST):
        answers = [
            web.get(f"/jobs/{job_id}/events", headers=ada),
            web.get(f"/jobs/{job_id}/events", headers={**ada, "last-event-id": last}),
            web.get(f"/jobs/{job_id}/events?after=x", headers=ada),
            web.get(f"/jobs/{unknown}/events", headers=ada),
            web.get(f"/jobs/{unknown}/logs?follow=true", headers=ada),
        ]
        assert [answer.status_code for answer in answers] == [200, 204, 422, 404, 404]


def test_without_keys_an_address_follows_so_many_times(web: httpx2.Client, ledger: Ledger) -> None:
    needs_no_key(web)
    job_id = submit(ledger)

    with ExitStack() as streams:
        answers = [streams.enter_context(web.stream("GET", f"/jobs/{job_id}/events")) for _ in range(MOST + 1)]

        assert [answer.status_code for answer in answers] == [200] * MOST + [429]


def test_so_many_wait_for_a_change_at_once_and_again_when_they_have_gone(
    web: httpx2.Client, ledger: Ledger, ada: dict[str, str], redis_url: str
) -> None:
    job_id = submit(ledger, owner="ada")
    url, waits = f"/jobs/{job_id}", {**ada, "prefer": "wait=60"}
    with ExitStack() as waiting:
        for _ in range(MOST):
            waiting.enter_context(asked(web, url, waits))
        until(lambda: web.get(f"{url}/events?after=x", headers=ada).status_code == 429, "all are waiting")

        assert_problem(web.get(url, headers=waits), 429, "too-many-streams")
        assert web.get(url, headers=ada).status_code == 200

    until(lambda: follows(web, job_id, "events", ada), "there is room again", seconds=GONE_S)
    until(lambda: is_quiet(redis_url), "the job is not looked at any more", seconds=GONE_S)


def test_what_is_not_waited_for_does_not_count(web: httpx2.Client, ledger: Ledger, ada: dict[str, str]) -> None:
    waits, ended = {**ada, "prefer": "wait=60"}, submit(ledger, owner="ada")
    ledger.run(transitions.ask(ended, Event.CANCEL))
    job_id = submit(ledger, owner="ada")
    with ExitStack() as streams:
        for _ in range(MOST):
            streams.enter_context(web.stream("GET", f"/jobs/{job_id}/events", headers=ada))

        assert web.get(f"/jobs/{ended}", headers=waits).status_code == 200
        assert web.get(f"/jobs/{job_id}", headers={**waits, "if-none-match": '"another"'}).status_code == 200


def test_a_change_is_not_waited_for_once_the_key_is_revoked(
    web: httpx2.Client, ledger: Ledger, ada: dict[str, str]
) -> None:
    job_id = submit(ledger, owner="ada")
    (known,) = ledger.run(access.list_keys())
    revoking = threading.Timer(0.3, lambda: ledger.run(access.revoke_key(known.id)))
    revoking.start()
    began_at = time.monotonic()

    answer = web.get(f"/jobs/{job_id}", headers={**ada, "prefer": "wait=25"})

    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert time.monotonic() - began_at < 15
    assert_problem(web.get(f"/jobs/{job_id}", headers=ada), 401, "key-refused")
    revoking.join()


@contextmanager
def asked(web: httpx2.Client, path: str, headers: dict[str, str]) -> Iterator[None]:
    """A request that is sent, and cut off without having heard an answer."""
    lines = [f"GET {path} HTTP/1.1", "Host: lowland", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection((web.base_url.host, web.base_url.port or 0)) as line:
        line.sendall("\r\n".join(lines).encode())
        yield


def is_quiet(redis_url: str) -> bool:
    """Whether no script is called for longer than any job is left alone that somebody waits for."""
    with redis.Redis.from_url(redis_url) as client:

        def calls() -> int:
            return client.info("commandstats")["cmdstat_evalsha"]["calls"]

        before = calls()
        time.sleep(1.5 * LOOK_QUEUED_S)  # the window that is looked at: that nothing happens shows only in time
        return calls() == before


def needs_no_key(web: httpx2.Client) -> None:
    """Wait until the server has forgotten the keys of the tests before."""
    until(lambda: web.get("/jobs").is_success, "no key is needed")


def follows(web: httpx2.Client, job_id: str, path: str, headers: dict[str, str]) -> bool:
    """Whether as many connections can be opened as may be."""
    with ExitStack() as streams:
        answers = [
            streams.enter_context(web.stream("GET", f"/jobs/{job_id}/{path}", headers=headers)) for _ in range(MOST)
        ]
        return all(answer.status_code == 200 for answer in answers)
