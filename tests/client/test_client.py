"""The client against a real server."""

import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ledger import Lease
from lowland import Client
from lowland.errors import (
    AnswerUnreadable,
    EventRefused,
    JobNotFound,
    RequestFailed,
    ServerUnavailable,
    SpecInvalid,
    WaitTimedOut,
)
from lowland.spec import JobSpec
from lowland.spec.resource import Cancelled, Job
from tests.api.conftest import Worker
from tests.client.awaiting import awaiting
from tests.client.conftest import Opening
from tests.client.relay import answer, relayed
from tests.conftest import free_port

SPEC = {"dataset": "digits"}


def test_a_proxy_in_the_environment_is_not_for_a_server_on_this_machine(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    with Client(client.base_url, retry_s=0) as beside_a_proxy:
        assert beside_a_proxy.submit(SPEC).status == "queued"


def test_a_job_is_submitted_read_and_cancelled(client: Client) -> None:
    queued = client.submit({"dataset": "digits", "sam": "SAM", "name": "ρ"})

    assert queued.spec == JobSpec.parse({"dataset": "digits", "sam": "sam", "name": "ρ"})
    assert client.get(queued.id) == queued
    assert client.cancel(queued.id).status == "cancelled"
    assert client.cancel(queued.id).terminal


def test_a_spec_as_a_model_is_submitted_as_it_is(client: Client) -> None:
    spec = JobSpec.parse({"dataset": "kmnist", "sam": {"variant": "sam", "p": "inf"}, "optimizer": "adamw"})

    assert client.submit(spec).spec == spec


def test_a_wrong_spec_names_its_fields(client: Client) -> None:
    with pytest.raises(SpecInvalid) as caught:
        client.submit({"dataset": "kminst", "epochs": 0})

    assert [(error.field, error.value) for error in caught.value.errors] == [
        ("dataset", "kminst"),
        ("epochs", 0),
    ]
    assert 'did you mean "kmnist"' in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, Path("x"), {1, 2}], ids=["NaN", "path", "set"])
def test_a_spec_that_json_cannot_say_is_not_sent(client: Client, value: object) -> None:
    with pytest.raises(SpecInvalid, match="cannot be written as JSON"):
        client.submit({"dataset": "digits", "epochs": value})


def test_refusals_have_names(client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)
    worker.settle(worker.claim(), "failed")

    with pytest.raises(JobNotFound, match="there is no job nope"):
        client.get("nope")
    with pytest.raises(EventRefused, match="is failed"):
        client.cancel(job.id)
    with pytest.raises(RequestFailed, match="longer than 1048576 bytes") as caught:
        client.submit({"dataset": "digits", "name": "x" * 2_000_000})
    assert (caught.value.status, caught.value.slug) == (413, "body-too-large")


def test_waiting_follows_a_job_to_its_end(client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)
    seen: list[str] = []
    leases: list[Lease] = []

    def note_and_move_on(update: Job) -> None:
        seen.append(update.status)
        if update.status == "queued":
            leases.append(worker.claim())
        elif update.status == "running":
            worker.settle(leases.pop(), "succeeded")

    ended = client.wait(job.id, timeout_s=20, on_update=note_and_move_on)

    assert (ended.status, ended.terminal) == ("succeeded", True)
    assert seen == ["queued", "running", "succeeded"]


def test_waiting_ends_when_its_time_is_over(client: Client) -> None:
    job = client.submit(SPEC)

    with pytest.raises(WaitTimedOut, match="still queued") as caught:
        client.wait(job.id, timeout_s=0.05)

    assert (caught.value.job_id, caught.value.status) == (job.id, "queued")


def test_all_jobs_are_gone_through_page_by_page(client: Client, worker: Worker) -> None:
    ids = [client.submit(SPEC).id for _ in range(103)]
    client.cancel(ids[1])

    assert [job.id for job in client.list()] == ids[::-1]
    assert [job.id for job in client.list(limit=101)] == ids[:1:-1]
    assert [job.id for job in client.list(status="cancelled")] == [ids[1]]
    assert list(client.list(limit=0)) == []


@pytest.fixture
def other_server() -> Iterator[str]:
    """Something on HTTP that is not ours: it answers everything with a page, and JSON of its own under /jobs/json."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"hello": "world"}' if self.path.endswith("json") else b"<h1>It works</h1>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_another_kind_of_server_is_told_apart(opening: Opening, other_server: str) -> None:
    with opening(other_server) as client:
        for job_id in ("page", "json"):
            with pytest.raises(AnswerUnreadable, match="does not answer as a Lowland server does"):
                client.get(job_id)
        with pytest.raises(RequestFailed, match="answered 501"):
            client.submit(SPEC)


def test_a_server_that_is_away_is_named(opening: Opening) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with opening(url, retry_s=0) as client, pytest.raises(ServerUnavailable, match=url):
        client.get("1")


def test_an_address_without_a_scheme_is_refused() -> None:
    for url in ("localhost:8000", "http://", "http://host:abc", "http://a\x00b", "ftp://host"):
        with pytest.raises(ValueError, match="give a URL that starts with http"):
            Client(url)


def test_jobs_are_found_and_cancelled_by_what_they_are(client: Client, worker: Worker) -> None:
    tagged = {**SPEC, "name": "kmnist 1", "tags": {"team": "vision", "run": "a"}, "sam": "friendly"}
    ids = [client.submit(tagged).id for _ in range(2)]
    other = client.submit(SPEC).id

    assert [job.id for job in client.list(tags=["team:vision", "run"], name="kmnist", model="cnn")] == ids[::-1]
    assert [job.id for job in client.list(variant="sam", dataset="digits", owner="anonymous")] == [other]
    assert client.cancel_all(variant="friendly") == Cancelled(cancelled=2, requested=0, next=None)
    assert client.cancel_all(everything=True).cancelled == 1


def test_many_jobs_are_cancelled_by_one_call(client: Client, worker: Worker) -> None:
    for _ in range(205):
        client.submit(SPEC)

    assert client.cancel_all(dataset="digits") == Cancelled(cancelled=205, requested=0, next=None)


@pytest.mark.parametrize("chosen", [{}, {"everything": True, "status": "queued"}], ids=str)
def test_to_cancel_every_job_must_be_said_alone(client: Client, chosen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="everything=True alone"):
        client.cancel_all(**chosen)


def test_a_dry_run_makes_no_job(client: Client, worker: Worker) -> None:
    said = client.dry_run({**SPEC, "sam": {"rho": 5.0}})

    assert said.spec == JobSpec.parse({**SPEC, "sam": {"rho": 5.0}})
    assert [advice.field for advice in said.warnings] == ["sam.rho"]
    assert (said.queue.position, said.estimate.seconds) == (1, None)
    assert list(client.list()) == []
    with pytest.raises(SpecInvalid):
        client.dry_run({"dataset": "nothing"})


def test_a_job_that_has_ended_is_deleted(client: Client, worker: Worker) -> None:
    job_id = client.submit(SPEC).id
    with pytest.raises(RequestFailed, match="is queued") as caught:
        client.delete(job_id)
    assert (caught.value.slug, client.checkpoints(job_id)) == ("deletion-refused", [])
    client.cancel(job_id)

    client.delete(job_id)

    for again in (client.get, client.delete, client.checkpoints):
        with pytest.raises(JobNotFound):
            again(job_id)


def test_the_environment_says_where_the_server_is(
    server: str, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWLAND_URL", server + "/")

    with opening() as client:
        assert client.base_url == server
        assert client.ready().redis
    monkeypatch.setenv("LOWLAND_URL", "localhost:8000")
    with pytest.raises(ValueError, match="LOWLAND_URL is localhost:8000; give a URL"):
        Client()


def test_waiting_is_left_to_the_server(client: Client, opening: Opening, worker: Worker) -> None:
    """A job that runs for a while is asked for once, and once more for its end."""
    job = client.submit(SPEC)
    lease = worker.claim()

    with relayed(client.base_url) as relay, opening(relay.url) as waiting:
        settled = threading.Timer(1.5, worker.settle, (lease, "succeeded"))
        settled.start()
        ended = waiting.wait(job)
        settled.join()

    assert ended.status == "succeeded"
    assert len(relay.lines("GET /jobs/")) == 2
    assert len(relay.lines("Prefer: wait=25")) == 1


def test_waiting_where_nobody_waits_takes_its_time(client: Client, opening: Opening) -> None:
    """A proxy that answers 304 at once, whatever the server would do, is not asked without a pause."""
    job = client.submit(SPEC)
    unchanged = answer("304 Not Modified")
    body = client.get(job).model_dump_json().encode()

    plans = [answer("200 OK", 'ETag: "1"', body=body), *[unchanged] * 100]

    with relayed(client.base_url, *plans) as relay, opening(relay.url) as waiting, pytest.raises(WaitTimedOut):
        waiting.wait(job, timeout_s=1.2)

    assert len(relay.lines("GET /jobs/")) <= 10


def test_what_a_job_can_name_is_listed(client: Client) -> None:
    variants = {variant.name: variant for variant in client.variants()}

    assert (variants["sam"].backwards, variants["none"].backwards) == (2, 1)
    assert "kmnist" in {dataset.name for dataset in client.datasets()}
    assert "resnet9" in {model.name for model in client.models()}
    assert "sgd" in {optimizer.name for optimizer in client.optimizers()}
    assert "cosine" in {schedule.name for schedule in client.schedules()}
    assert "rosenbrock" in {function.name for function in client.functions()}


def test_workers_are_listed_and_drained(client: Client, worker: Worker) -> None:
    [listed] = client.workers()

    job = client.submit(SPEC)
    assert [client.pause(job).status, client.resume(job).status] == ["paused", "queued"]
    assert client.drain(listed.id).draining
    assert [each.draining for each in client.workers()] == [True]
    with pytest.raises(RequestFailed, match="nobody"):
        client.drain("nobody")


def test_what_a_webhook_was_told_is_read(client: Client, worker: Worker) -> None:
    told = client.deliveries(client.submit(SPEC))

    assert (told.url, told.deliveries) == (None, [])


def test_trio_drives_it_too(server: str, worker: Worker) -> None:
    with awaiting(server, backend="trio") as client:
        job = client.submit(SPEC)
        worker.settle(worker.claim(), "succeeded")

        assert [event.name for event in client.follow(job) if event.name != "progress"][-1] == "end"
        assert client.wait(job).status == "succeeded"
