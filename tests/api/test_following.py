"""GET /jobs/{id}/events: what is sent, from where on, and when it ends. A real server, over sockets."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from ledger import Keys, Ledger, runs, transitions
from lowland.spec import Event
from lowland.spec.resource import Progress
from tests.api.events import Sent, follow, sent
from tests.api.servers import api_server, is_alive
from tests.ledger.archiving import archive, finished, retry, run_once
from tests.ledger.playing import claimed, settle, submit
from tests.waiting import until

PROGRESS = Progress(
    epoch=1, epochs=1, step=7, steps=9, fraction=7 / 9, eta_s=None, samples_per_s=None
).model_dump_json()


@pytest.fixture(scope="module")
def shared_keys() -> Keys:
    return Keys("{tfollow}:")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def url(redis_url: str, shared_keys: Keys, store: Path) -> Iterator[str]:
    with api_server(redis_url, shared_keys, store) as running:
        yield running


@pytest.fixture(scope="module")
def web(url: str) -> Iterator[httpx2.Client]:
    """A client of it, for any number of threads."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    with httpx2.Client(base_url=url, timeout=30, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture
def ledger(redis_url: str, shared_keys: Keys) -> Iterator[Ledger]:
    """The shared server's."""
    with Ledger(redis_url, shared_keys) as opened:
        yield opened


def names(events: list[Sent]) -> list[str]:
    return [event.name for event in events]


def test_a_job_that_has_ended_is_told_from_its_beginning_to_its_end(web: httpx2.Client, ledger: Ledger) -> None:
    job_id = finished(ledger, "succeeded")

    events = follow(web, job_id)

    assert [name for name in names(events) if name != "notice"] == [
        "queued",
        "running",
        "point",
        "point",
        "succeeded",
        "end",
    ]
    points = [event.data for event in events if event.name == "point"]
    assert [(point["epoch"], point["step"], point["loss"], point["token"]) for point in points] == [
        (1, 10, 1.0, 1),
        (2, 20, 0.5, 1),
    ]
    notices = [event.data for event in events if event.name == "notice"]
    assert [notice.keys() for notice in notices] == [{"at", "token", "type", "detail"}] * 2
    assert events[-1].data == web.get(f"/jobs/{job_id}").json()


@pytest.mark.parametrize("life", ["in the ledger", "packed", "forgotten by Redis", "retried"])
def test_from_any_id_on_there_is_no_gap_and_no_repeat(
    web: httpx2.Client, ledger: Ledger, store: Path, shared_keys: Keys, life: str
) -> None:
    job_id = finished(ledger, "failed")
    if life != "in the ledger":
        archive(ledger, store, job_id)
    if life == "forgotten by Redis":
        ledger._client.delete(shared_keys.key("recent", job_id))
    if life == "retried":
        retry(ledger, job_id)
        run_once(ledger, "succeeded")
    whole = [event for event in follow(web, job_id) if event.id]
    assert len({event.id for event in whole[:-1]}) == len(whole) - 1 >= 7

    for index, event in enumerate(whole[:-1]):
        rest = [each for each in follow(web, job_id, after=event.id) if each.id]
        assert rest == whole[index + 1 :]
    assert follow(web, job_id, after=whole[-1].id) == []


def test_what_happens_is_sent_as_it_happens(web: httpx2.Client, ledger: Ledger) -> None:
    job_id = submit(ledger)
    seen: list[str] = []

    def read() -> None:
        with web.stream("GET", f"/jobs/{job_id}/events") as answer:
            for event in sent(answer.iter_lines()):
                seen.append(event.name)

    reading = threading.Thread(target=read)
    reading.start()
    until(lambda: seen == ["queued"], "its past is sent", seconds=5)
    lease = claimed(ledger)
    assert lease.job_id == job_id
    until(lambda: seen[1:] == ["running"], "the claim is sent", seconds=5)
    ledger.run(runs.report(lease, 1, lease_ms=60_000, fields={"progress": PROGRESS}, point='{"step": 7, "loss": 0.5}'))
    until(lambda: seen[2:] == ["point", "progress"], "the report is sent", seconds=5)
    ledger.run(transitions.ask(job_id, Event.CANCEL))
    until(lambda: seen[4:] == ["cancel_requested"], "the wish is sent", seconds=5)
    settle(ledger, lease, "stopped")
    reading.join(5)

    assert seen[5:] == ["cancelled", "end"]


def test_a_long_series_is_sent_without_a_pause_though_the_job_stands_still(web: httpx2.Client, ledger: Ledger) -> None:
    job_id = submit(ledger)
    lease = claimed(ledger)
    assert lease.job_id == job_id
    steps = range(1, 2502)
    for step in steps:
        ledger.run(runs.report(lease, step, lease_ms=60_000, fields={}, point=f'{{"step": {step}}}'))
    began_at = time.monotonic()

    events = follow(web, job_id, most=2 + len(steps))
    took_s = time.monotonic() - began_at
    settle(ledger, lease, "succeeded")

    assert [event.data["step"] for event in events if event.name == "point"] == list(steps)
    assert took_s < 12  # a connection that has nothing to send sends a ping after 15 s


def test_of_what_is_not_known_and_what_is_no_id_nothing_is_followed(web: httpx2.Client, ledger: Ledger) -> None:
    job_id = finished(ledger)

    unknown = web.get("/jobs/0199f3a0-0000-7000-8000-000000000000/events")
    wrong = web.get(f"/jobs/{job_id}/events", headers={"last-event-id": "7"})
    wrong_too = web.get(f"/jobs/{job_id}/events?after=x")

    assert (unknown.status_code, wrong.status_code, wrong_too.status_code) == (404, 422, 422)
    accepted = "the id of the last event that was received"
    assert wrong.json()["errors"] == [
        {"field": "Last-Event-ID", "value": "7", "detail": f'Last-Event-ID is "7"; give {accepted}'}
    ]
    assert wrong_too.json()["errors"] == [{"field": "after", "value": "x", "detail": f'after is "x"; give {accepted}'}]


def test_two_hundred_followers_that_are_cut_at_random_miss_nothing_and_get_nothing_twice(
    web: httpx2.Client, ledger: Ledger
) -> None:
    job_id = submit(ledger)
    points, give_up_at = 40, time.monotonic() + 60

    def follow_with_cuts(seed: int) -> list[Sent]:
        cuts, found = random.Random(seed), list[Sent]()
        while (not found or found[-1].name != "end") and time.monotonic() < give_up_at:
            after = found[-1].id if found else None
            found += [event for event in follow(web, job_id, after=after, most=cuts.randint(1, 12)) if event.id]
        return found

    with ThreadPoolExecutor(200) as followers:
        following = [followers.submit(follow_with_cuts, seed) for seed in range(200)]
        lease = claimed(ledger)
        assert lease.job_id == job_id
        for step in range(1, points + 1):
            ledger.run(
                runs.report(lease, step, lease_ms=60_000, fields={}, point=f'{{"step": {step}, "loss": {step}.5}}')
            )
            time.sleep(0.05)  # a rate, not a wait: so that the cuts fall between points, not before or after them all
        settle(ledger, lease, "succeeded")
        found = [one.result(60) for one in following]

    expected = ["queued", "running", *["point"] * points, "succeeded", "end"]
    assert {tuple(names(events)) for events in found} == {tuple(expected)}
    assert {tuple(event.data["step"] for event in events if event.name == "point") for events in found} == {
        tuple(range(1, points + 1))
    }


def listener(url: str) -> int:
    """The process that serves there."""
    port = int(url.rsplit(":", 1)[1])
    [pid] = {
        found.pid
        for found in psutil.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid
    }
    return pid


def test_the_server_is_gone_soon_after_sigterm_though_it_is_followed(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    with Ledger(redis_url, keys) as own, api_server(redis_url, keys, tmp_path) as url, ExitStack() as streams:
        job_id = submit(own)
        client = streams.enter_context(httpx2.Client(base_url=url, timeout=30, trust_env=False))
        following = [
            sent(streams.enter_context(client.stream("GET", f"/jobs/{job_id}/events")).iter_lines()) for _ in range(20)
        ]
        firsts = [next(events).name for events in following]
        told_at = time.monotonic()
        os.kill(listener(url), signal.SIGTERM)
        rest = [list(events) for events in following]
        until(lambda: not is_alive(url), "the server is gone")
        ended_s = time.monotonic() - told_at

    assert firsts == ["queued"] * 20
    assert rest == [[]] * 20
    assert ended_s < 3
