"""X-Request-Id: in and out, into problems and logs, and with the job to whoever has to do with it later."""

import json
import logging
import re
from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient

from api import ApiSettings, create_app
from ledger import Ledger, chores, logs, runs
from ledger.runs import names_of
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.ledger.playing import LOST, claimed, enroll, submit

OURS = re.compile(r"[0-9a-f]{32}")
SECRET = "whsec_" + "Ab3" * 12


class Lines(logging.Handler):
    """What the log of the process would say, line by line."""

    def __init__(self, settings: ApiSettings) -> None:
        super().__init__()
        self.setFormatter(logs.formatter(settings, process="api", on_terminal=False))
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("httpx2"):  # the client's own, which is in this process too
            self.text.append(self.format(record))

    def requests(self) -> list[dict[str, object]]:
        said = [json.loads(line) for line in self.text]
        return [line for line in said if line["event"] == "request"]


@pytest.fixture
def lines(settings: ApiSettings) -> Iterator[Lines]:
    handler, root = Lines(settings), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def test_an_id_is_given_back(http: httpx2.Client) -> None:
    answer = http.get("/healthz", headers={"x-request-id": "deploy-7/a:b"})

    assert answer.headers["x-request-id"] == "deploy-7/a:b"


def test_a_request_without_one_gets_one_of_its_own(http: httpx2.Client) -> None:
    ids = [http.get("/healthz").headers["x-request-id"] for _ in range(2)]

    assert all(OURS.fullmatch(one) for one in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b'a"b', b"a'b", b"gr\xc3\xbcn", b"\xff", b"a\tb"], ids=repr)
def test_what_would_break_a_log_line_is_replaced(http: httpx2.Client, given: bytes) -> None:
    answer = http.get("/healthz", headers=[(b"x-request-id", given)])

    assert OURS.fullmatch(answer.headers["x-request-id"])


def test_two_ids_are_none(http: httpx2.Client) -> None:
    answer = http.get("/healthz", headers=[("x-request-id", "a"), ("x-request-id", "b")])

    assert OURS.fullmatch(answer.headers["x-request-id"])


def test_a_problem_names_its_request(http: httpx2.Client) -> None:
    answer = http.get("/nowhere", headers={"x-request-id": "r1"})

    assert assert_problem(answer, 404, "nothing-here")["request_id"] == "r1"


def test_an_unexpected_error_has_an_id_and_a_line_in_the_log_too(settings: ApiSettings, lines: Lines) -> None:
    app = create_app(settings)

    @app.get("/broken")
    async def break_down() -> None:  # pyright: ignore[reportUnusedFunction]
        raise RuntimeError(f"the secret was {SECRET}")

    with TestClient(app, raise_server_exceptions=False) as http:
        answer = http.get("/broken", headers={"x-request-id": "r1"})

    assert assert_problem(answer, 500, "internal-error")["request_id"] == "r1"
    (line,) = lines.requests()
    assert (line["route"], line["status"], line["request_id"]) == ("/broken", 500, "r1")


def test_each_request_has_a_line_with_its_route_and_not_its_path(http: httpx2.Client, lines: Lines) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    http.get(f"/jobs/{job_id}?token=xyz", headers={"x-request-id": "r2"})
    http.get("/wp-login.php")
    http.get("/healthz")

    said = [(line["method"], line["route"], line["status"]) for line in lines.requests()]

    assert said == [("POST", "/jobs", 201), ("GET", "/jobs/{job_id}", 422), ("GET", "none", 404)]
    line = lines.requests()[1]
    assert (line["request_id"], line["level"], line["process"]) == ("r2", "info", "api")
    assert 0 < float(str(line["seconds"])) < 10
    assert "xyz" not in "".join(lines.text)


def test_the_line_of_a_request_can_be_left_out(settings: ApiSettings, lines: Lines) -> None:
    with TestClient(create_app(settings.model_copy(update={"access_log": False}))) as http:
        http.get("/jobs")

    assert lines.requests() == []


def test_no_secret_reaches_the_log(http: httpx2.Client, lines: Lines) -> None:
    webhook = {"url": "https://example.org/hook", "secret": SECRET}
    headers = {"authorization": f"Bearer {SECRET[6:]}", "idempotency-key": SECRET}
    http.post("/jobs", json={"dataset": "digits", "webhook": webhook}, headers=headers)
    http.post("/jobs", json={"dataset": "digits", "webhook": {**webhook, "secret": SECRET + "!"}}, headers=headers)
    http.get("/jobs", params={"key": SECRET})
    try:
        raise RuntimeError(f"redis://:{SECRET[6:]}@host:1/0 {headers} {webhook}")
    except RuntimeError as error:
        logging.getLogger("worker").exception("it broke: %s", error)

    said = "".join(lines.text)

    assert len(lines.text) == 4
    assert SECRET not in said
    assert SECRET[6:] not in said


def test_the_request_follows_the_job_to_runner_and_keeper(http: httpx2.Client, ledger: Ledger) -> None:
    headers = {"x-request-id": "r1"}
    job_id = http.post("/jobs", json={"dataset": "digits"}, headers=headers).json()["id"]
    enroll(ledger)
    lease = claimed(ledger, lease_ms=0)

    ended = ledger.run(runs.expire(failure=LOST, lease_ms=0))

    names = {"job_id": job_id, "attempt": 1, "token": 1, "request_id": "r1"}
    assert names_of(lease) == names
    assert [names_of(one) for one in ended] == [names]


def test_the_request_follows_the_job_to_the_chores(http: httpx2.Client, worker: Worker, ledger: Ledger) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}, headers={"x-request-id": "r" * 128}).json()["id"]
    worker.settle(worker.claim(), "failed")

    (chore,) = ledger.run(chores.take("archive", "t1", most=1, kept_ms=1000))

    assert (chore.job_id, chore.request_id) == (job_id, "r" * 128)


def test_the_job_resource_does_not_show_it(http: httpx2.Client) -> None:
    answer = http.post("/jobs", json={"dataset": "digits"}, headers={"x-request-id": "r1"})

    assert "r1" not in answer.text


def test_jobs_made_without_a_request_have_none(ledger: Ledger) -> None:
    job_id = submit(ledger)

    assert names_of(claimed(ledger)) == {"job_id": job_id, "attempt": 1, "token": 1}
