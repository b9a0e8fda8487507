"""Following a job: everything once, in order, whatever the connection does."""

import asyncio
import itertools
import json
import random
import threading
from contextlib import aclosing

import pytest

from lowland import AsyncClient, Client
from lowland.errors import AnswerUnreadable, JobNotFound, RequestFailed, ServerUnavailable
from tests.api.conftest import Worker
from tests.client.conftest import Opening
from tests.client.relay import answer, relayed

SPEC = {"dataset": "digits"}


@pytest.fixture
def ended(client: Client, worker: Worker) -> str:
    """A job with forty points that has come to its end."""
    job = client.submit(SPEC)
    lease = worker.claim()
    for number in range(1, 41):
        point = {"step": number, "epoch": number, "train_loss": 1 / number}
        worker.report(lease, number, point=json.dumps(point))
    worker.settle(lease, "succeeded")
    return job.id


def test_a_job_is_followed_to_its_end(client: Client, ended: str) -> None:
    events = list(client.follow(ended))

    names = [name for name, _ in itertools.groupby(event.name for event in events)]
    assert [name for name in names if name != "progress"] == ["queued", "running", "point", "succeeded", "end"]
    points = [event for event in events if event.name == "point"]
    assert [event.data["step"] for event in points] == list(range(1, 41))
    assert all(event.at and event.id and event.job is None for event in points)
    assert events[-1].job == client.get(ended)


def test_what_happens_comes_as_it_happens(client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)
    seen = []
    lease = None

    for event in client.follow(job):
        seen.append(event.name)
        if event.name == "queued":
            lease = worker.claim()
        elif event.name == "running" and lease:
            worker.settle(lease, "succeeded")

    assert [name for name in seen if name != "progress"] == ["queued", "running", "succeeded", "end"]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_missed_and_nothing_comes_twice_over_cut_connections(
    client: Client, opening: Opening, ended: str, seed: int
) -> None:
    whole = list(client.follow(ended))
    draw = random.Random(seed)
    cuts = [draw.randrange(200, 3000) for _ in range(12)]

    with relayed(client.base_url, *cuts) as relay, opening(relay.url) as cut_off:
        events = list(cut_off.follow(ended))

    assert relay.plans_left < 9
    assert events == whole


def test_following_goes_on_after_an_event(client: Client, ended: str) -> None:
    events = list(client.follow(ended))
    half = next(event for event in events if event.data.get("step") == 20)

    assert list(client.follow(ended, after=half.id)) == events[events.index(half) + 1 :]
    assert list(client.follow(ended, after=events[-1].id)) == []


def test_a_server_that_stays_away_ends_it(client: Client, opening: Opening) -> None:
    job = client.submit(SPEC)

    closed = answer("200 OK", "Content-Type: text/event-stream", body=b"retry: 1\n\n")

    with relayed(client.base_url, 10, closed) as relay, opening(relay.url, retry_s=0) as cut_off:
        with pytest.raises(ServerUnavailable):
            next(iter(cut_off.follow(job)))
        with pytest.raises(ServerUnavailable, match="ended before the job did"):
            next(iter(cut_off.follow(job)))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/html", b"<h1>It works</h1>"),
        ("text/event-stream", b"event: point\ndata: 7\n\n"),
        ("text/event-stream", b"event: point\ndata: {\n\n"),
        ("text/event-stream", b"event: end\ndata: {}\n\n"),
        ("text/event-stream", b'event: point\ndata: {"at": "soon"}\n\n'),
        ("text/event-stream", b"event: point\ndata: [null]\n\n"),
    ],
)
def test_what_is_no_stream_of_events_is_said(server: str, opening: Opening, media_type: str, body: bytes) -> None:
    streams = answer("200 OK", f"Content-Type: {media_type}", body=body)

    with relayed(server, streams) as relay, opening(relay.url) as client, pytest.raises(AnswerUnreadable):
        list(client.follow("x"))


def test_events_of_a_newer_server_pass_through(server: str, opening: Opening) -> None:
    body = b'event: teleported\ndata: {"where": "Mars"}\nid: 7-0\n\n'

    streams = answer("200 OK", "Content-Type: text/event-stream", body=body)

    with relayed(server, streams) as relay, opening(relay.url) as client:
        event = next(iter(client.follow("x")))

    assert (event.name, event.id, event.at, event.data) == ("teleported", "7-0", None, {"where": "Mars"})


def test_refusals_are_errors(client: Client, ended: str) -> None:
    with pytest.raises(JobNotFound):
        list(client.follow("x"))
    with pytest.raises(RequestFailed, match="Last-Event-ID"):
        list(client.follow(ended, after="soon"))


class TestLogs:
    """What has happened, as lines."""

    def test_lines_are_read(self, client: Client, ended: str) -> None:
        events = [json.loads(line) for line in client.logs(ended, source="events")]

        assert [event["event"] for event in events] == ["queued", "running", "succeeded"]
        assert [json.loads(line) for line in client.logs(ended, source="events", tail=1)] == events[-1:]

    def test_a_job_that_has_not_run_has_no_lines(self, client: Client) -> None:
        assert list(client.logs(client.submit(SPEC))) == []

    def test_they_are_followed_to_the_end(self, client: Client, worker: Worker) -> None:
        job = client.submit(SPEC)
        lines = client.logs(job, source="events", follow=True)

        assert json.loads(next(lines))["event"] == "queued"
        lease = worker.claim()
        assert json.loads(next(lines))["event"] == "running"
        worker.settle(lease, "succeeded")
        assert [json.loads(line)["event"] for line in lines] == ["succeeded"]

    def test_a_log_that_ends_before_its_job_is_no_whole_one(self, client: Client, opening: Opening) -> None:
        job = client.submit(SPEC)
        cut_short = answer("200 OK", "Content-Type: text/plain", body=b"epoch 1\nepo")

        with relayed(client.base_url, cut_short) as relay, opening(relay.url) as cut_off:
            lines = cut_off.logs(job, follow=True)
            assert [next(lines), next(lines)] == ["epoch 1", "epo"]
            with pytest.raises(ServerUnavailable, match="is queued"):
                next(lines)


def test_a_quiet_stream_may_be_cut_as_often_as_it_likes(client: Client, opening: Opening, worker: Worker) -> None:
    """What it takes to open a stream again is counted from its cut, however long ago the last event was."""
    job = client.submit(SPEC)
    cutter: list[threading.Timer] = []

    with relayed(client.base_url) as relay, opening(relay.url, retry_s=1) as cut_off:
        for delay_s in (1.5, 3.0, 4.5):
            cutter.append(threading.Timer(delay_s, relay.cut))
            cutter[-1].start()
        ending = threading.Timer(5.5, lambda: worker.settle(worker.claim(), "succeeded"))
        ending.start()
        names = [event.name for event in cut_off.follow(job) if event.name != "progress"]
        for each in [*cutter, ending]:
            each.join()

    assert names == ["queued", "running", "succeeded", "end"]
    assert len(relay.lines("GET /jobs/")) == 4


def test_a_loop_that_is_left_early_leaves_no_connection_behind(server: str, client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)

    async def look() -> str:
        async with AsyncClient(server) as lowland, aclosing(lowland.follow(job)) as events:
            async for event in events:
                return event.name
        raise AssertionError

    assert asyncio.run(look()) == "queued"
    assert next(client.follow(job)).name == "queued"
