"""GET /jobs/{id}/logs: what the engine prints and what happens to the job, from the end, and as it comes."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api import ApiSettings
from api.job_logs import read_tail
from ledger import Ledger, runs
from ledger.store import run_folder
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.api.servers import ROOT, is_alive
from tests.conftest import free_port
from tests.ledger.archiving import archive
from tests.waiting import until


def submit(http: httpx2.Client) -> str:
    return http.post("/jobs", json={"dataset": "digits"}).json()["id"]


def prints(root: Path, job_id: str, token: int, text: str | bytes) -> None:
    """Do as an engine does."""
    folder = run_folder(root, job_id, token)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "engine.log").open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def log_of(http: httpx2.Client, job_id: str, **parameters: Any) -> str:
    answer = http.get(f"/jobs/{job_id}/logs", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_last_lines_are_given_as_text(http: httpx2.Client, worker: Worker, tmp_path: Path) -> None:
    job_id = submit(http)
    worker.claim()
    prints(tmp_path, job_id, 1, b"".join(b"line %d\n" % number for number in range(20_000)) + b"half \xff\xc3\xbc")

    answer = http.get(f"/jobs/{job_id}/logs", params={"tail": 3})

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "line 19998\nline 19999\nhalf \ufffdü"
    assert log_of(http, job_id).count("\n") == 999
    assert log_of(http, job_id, tail=10_000).startswith("line 10001\n")


@pytest.mark.parametrize(
    ("text", "lines", "last"),
    [
        (b"", 5, b""),
        (b"a\n", 5, b"a\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\r\rb\nc\rd\n", 1, b"c\rd\n"),
        (b"x" * 200_000 + b"\n" + b"y" * 200_000, 1, b"y" * 200_000),
        (b"x" * 20_000_000, 1, None),
    ],
    ids=["empty", "one", "whole lines", "no end", "progress bar", "long lines", "too long"],
)
def test_a_file_is_read_from_its_end(tmp_path: Path, text: bytes, lines: int, last: bytes | None) -> None:
    (path := tmp_path / "log").write_bytes(text)

    found, end = read_tail(path, lines)

    assert end == len(text)
    assert found == last if last is not None else len(found) <= 8 * 1024 * 1024


def test_each_attempt_has_its_own(http: httpx2.Client, worker: Worker, tmp_path: Path) -> None:
    job_id = submit(http)
    for token in (1, 2):
        lease = worker.claim()
        prints(tmp_path, job_id, token, f"attempt {token}\n")
        worker.settle(lease, "lost")

    assert log_of(http, job_id) == "attempt 2\n"
    assert log_of(http, job_id, attempt=1) == "attempt 1\n"
    assert_problem(http.get(f"/jobs/{job_id}/logs?attempt=3"), 404, "log-missing")


def test_each_run_of_an_attempt_has_its_own(http: httpx2.Client, worker: Worker, tmp_path: Path) -> None:
    job_id = submit(http)
    for token in (1, 2):
        lease = worker.claim()
        prints(tmp_path, job_id, token, f"run {token}\n")
        http.post(f"/jobs/{job_id}/pause")
        worker.settle(lease, "stopped")
        http.post(f"/jobs/{job_id}/resume")

    attempts = http.get(f"/jobs/{job_id}").json()["attempts"]
    assert [(one["attempt"], one["run"]) for one in attempts] == [(1, 1), (1, 2)]
    assert [log_of(http, job_id, run=one["run"]) for one in attempts] == ["run 1\n", "run 2\n"]
    assert log_of(http, job_id, attempt=1) == "run 2\n"
    assert log_of(http, job_id, attempt=1, run=1, follow=True) == "run 1\n"
    for wrong in ("run=3", "attempt=2&run=1"):
        assert_problem(http.get(f"/jobs/{job_id}/logs?{wrong}"), 404, "log-missing")
    assert_problem(http.get(f"/jobs/{job_id}/logs?source=events&run=1"), 422, "parameters-invalid")


def test_a_job_that_has_not_run_yet_has_an_empty_log(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    queued = log_of(http, job_id)
    worker.claim()
    starting = log_of(http, job_id)

    assert (queued, starting) == ("", "")


def test_a_log_that_is_not_in_the_store_is_missing(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), "failed")

    problem = assert_problem(http.get(f"/jobs/{job_id}/logs"), 404, "log-missing")

    assert "LOWLAND_ARTIFACT_DIR" in problem["detail"]


def test_a_job_that_is_not_known_has_none(http: httpx2.Client) -> None:
    assert_problem(http.get("/jobs/01890a5d-ac96-774b-bcce-b302099a8057/logs"), 404, "job-not-found")


@pytest.mark.parametrize(
    "query",
    ["tail=0", "tail=10001", "attempt=0", "source=runner", "source=events&attempt=1", "lines=5", "tail=1&tail=2"],
)
def test_other_parameters_are_refused(http: httpx2.Client, query: str) -> None:
    assert_problem(http.get(f"/jobs/{submit(http)}/logs?{query}"), 422, "parameters-invalid")


def test_events_are_json_lines(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), "failed")

    answer = http.get(f"/jobs/{job_id}/logs?source=events")

    assert answer.headers["content-type"] == "application/x-ndjson"
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["event"] for event in events] == ["queued", "running", "failed"]
    assert events[0]["at"] == http.get(f"/jobs/{job_id}").json()["created_at"]
    assert (events[1]["token"], events[1]["worker"], events[2]["outcome"]) == (1, "w1", "failed")
    assert [json.loads(log_of(http, job_id, source="events", tail=1))] == events[-1:]


def test_events_are_the_same_once_the_job_is_archived_and_after_it_is_retried(
    http: httpx2.Client, worker: Worker, ledger: Ledger, tmp_path: Path
) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), "failed")
    before = log_of(http, job_id, source="events")

    archive(ledger, tmp_path, job_id)
    archived = log_of(http, job_id, source="events")
    http.post(f"/jobs/{job_id}/retry")
    retried = log_of(http, job_id, source="events")

    assert archived == before
    assert retried.startswith(before)
    assert [json.loads(line)["event"] for line in retried.splitlines()] == ["queued", "running", "failed", "queued"]


def test_of_many_events_the_last_are_given(http: httpx2.Client, worker: Worker, ledger: Ledger) -> None:
    job_id = submit(http)
    lease = worker.claim()
    for number in range(1, 1003):  # more than are read at once by whoever follows
        notice = json.dumps({"type": "checkpoint-damaged", "detail": f"{number}"})
        ledger.run(runs.report(lease, number, lease_ms=60_000, fields={}, notice=notice))

    lines = [json.loads(line) for line in log_of(http, job_id, source="events", tail=2).splitlines()]

    assert [line["notice"] for line in lines] == [
        {"type": "checkpoint-damaged", "detail": "1001"},
        {"type": "checkpoint-damaged", "detail": "1002"},
    ]
    assert [(line["event"], line["token"]) for line in lines] == [("notice", 1)] * 2


def test_events_whose_record_is_not_in_the_store_are_lost(
    http: httpx2.Client, worker: Worker, ledger: Ledger, tmp_path: Path
) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), "failed")
    archive(ledger, tmp_path, job_id)
    (tmp_path / "jobs" / job_id / "record.json").unlink()

    assert_problem(http.get(f"/jobs/{job_id}/logs?source=events"), 404, "history-lost")


@pytest.fixture
def server(settings: ApiSettings) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An API process of its own: only there a stream comes piece by piece."""
    port = free_port()
    environment = {
        "LOWLAND_REDIS_URL": settings.redis_url,
        "LOWLAND_REDIS_PREFIX": settings.redis_prefix,
        "LOWLAND_ARTIFACT_DIR": str(settings.artifact_dir),
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "uvicorn", "api.main:app", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    until(lambda: is_alive(url), "uvicorn answers")
    yield url, process
    process.kill()
    process.wait(10)
    assert process.stderr
    process.stderr.close()


class Follower(threading.Thread):
    """Reads a stream, piece by piece."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.text = ""
        self.start()

    def run(self) -> None:
        with httpx2.stream("GET", self.url, timeout=20) as answer:
            for piece in answer.iter_text():
                self.text += piece


Server = tuple[str, subprocess.Popen[bytes]]


def test_a_log_is_followed_from_run_to_run_until_the_job_has_ended(
    server: Server, worker: Worker, tmp_path: Path
) -> None:
    url, _ = server
    with httpx2.Client(base_url=url) as http:
        job_id = submit(http)
    follower = Follower(f"{url}/jobs/{job_id}/logs?follow=true")
    events = Follower(f"{url}/jobs/{job_id}/logs?follow=true&source=events")
    lease = worker.claim()
    prints(tmp_path, job_id, 1, "first\n")
    until(lambda: follower.text == "first\n", "the first line")
    prints(tmp_path, job_id, 1, "ü".encode()[:1])
    worker.settle(lease, "lost")
    lease = worker.claim()
    prints(tmp_path, job_id, 2, "second\n")
    until(lambda: follower.text.endswith("second\n"), "the second run")
    prints(tmp_path, job_id, 2, "last\n")

    worker.settle(lease, "failed")

    follower.join(5)
    events.join(5)
    assert not follower.is_alive()
    assert follower.text.endswith("second\nlast\n")
    names = [json.loads(line)["event"] for line in events.text.splitlines() if line]
    assert names == ["queued", "running", "queued", "running", "failed"]


def test_whoever_leaves_is_let_go_and_a_stop_ends_every_stream_at_once(
    server: Server, worker: Worker, tmp_path: Path
) -> None:
    url, process = server
    with httpx2.Client(base_url=url) as http:
        job_id = submit(http)
    worker.claim()
    prints(tmp_path, job_id, 1, "first\n")
    with httpx2.stream("GET", f"{url}/jobs/{job_id}/logs?follow=true") as answer:
        assert next(answer.iter_text()) == "first\n"
    follower = Follower(f"{url}/jobs/{job_id}/logs?follow=true")
    until(lambda: follower.text == "first\n", "the stream has begun")

    began_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(10)

    assert time.monotonic() - began_at < 3
    follower.join(5)
    assert not follower.is_alive()
    assert process.stderr
    assert b"Traceback" not in process.stderr.read()
