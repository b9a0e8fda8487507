"""The server keeps to its OpenAPI document, whatever is sent: schemathesis makes requests, good and bad, of each route.

Each operation has jobs of its own, in every state, so that none spoils those of another.
"""

import hashlib
import json
import re
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import allow_header_conformance

from api import ApiSettings, create_app
from ledger import Keys, Ledger, Wanted, runs, transitions
from ledger.store import run_folder
from lowland.spec import Event, JobSpec
from tests.api.callers import key
from tests.api.servers import api_server
from tests.ledger import playing

DOCUMENT: Final = create_app(ApiSettings()).openapi()
OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    operation["operationId"]: operation
    for path in DOCUMENT["paths"].values()
    for method, operation in path.items()
    if method != "parameters"
}
STATES: Final = ("failed", "cancelled", "paused", "running", "queued")
#: What a stream comes to its end of: nothing more happens to these.
ENDED: Final = ("failed", "cancelled")
ARTIFACT: Final = "model.safetensors"
#: Longer than any answer takes that has an end.
TIMEOUT_S: Final = 20
#: Of the cases made from a job's schema every so manieth is sent: there are 3,500.
JOB_SHARE: Final = 20
#: What HTTP itself adds to any answer, and how the body is kept.
OF_HTTP: Final = {
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "server",
    "transfer-encoding",
}
#: What an answer that is no problem has only where there is a reason.
SOMETIMES: Final = {
    "content-range",  # of several ranges the parts have it
    *("idempotent-replayed", "link", "preference-applied", "retry-after", "x-accel-buffering"),
}
#: Of each run.
CONFIG: Final[dict[str, Any]] = {
    "seed": 1,
    "checks": {
        # a schema cannot say which names there are, what goes together, nor how long a file is
        "positive_data_acceptance": {"expected-statuses": ["2xx", 304, 400, 401, 403, 404, 409, 410, 416, 422]},
        "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 413, 415, 416, 422]},
    },
}
#: Where a header shows a key, what else would show one is not read; no schema can say that.
UNTOLD: Final = {"ignored_auth": {"enabled": False}, "negative_data_rejection": {"enabled": False}}


def job_id(operation: str, state: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{operation}/{state}"))


def known_jobs(name: str, operation: dict[str, Any]) -> list[str]:
    is_stream = "text/event-stream" in str(operation) or "'follow'" in str(operation)
    return [job_id(name, state) for state in (ENDED if is_stream else STATES)]


def contract(*, examples: int, with_keys: bool) -> Any:
    """The document, for requests that are mostly of known jobs and files."""
    known = {f"jobs of {name}": known_jobs(name, operation) for name, operation in OPERATIONS.items()}
    config = {
        **CONFIG,
        "checks": {**CONFIG["checks"], "ignored_auth": {"enabled": with_keys}},
        "generation": {
            "deterministic": True,
            "database": "none",
            "max-examples": examples,
            "with-security-parameters": with_keys,
        },
        # every edge of every schema once is enough: with keys it is who asks that differs
        "phases": {"coverage": {"enabled": not with_keys}},
        "dictionaries": {name: {"values": values} for name, values in {**known, "files": [ARTIFACT]}.items()},
        "operations": [
            {
                "include-operation-id": name,
                "parameters": {
                    "path.job_id": {"dictionary": f"jobs of {name}", "probability": 0.8},
                    "path.name": {"dictionary": "files", "probability": 0.5},
                },
                "checks": UNTOLD if with_keys and name == "open_session" else {},
            }
            for name in OPERATIONS
        ],
    }
    return schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(config))


def is_sent(case: Case, share: int) -> bool:
    """Whether a case is among those that are tried: all of them, but of jobs to submit only some, spread evenly."""
    takes_a_job = "JobSpec-Input" in str(case.operation.definition.raw.get("requestBody"))
    return not takes_a_job or zlib.crc32(repr(case.body).encode()) % share == 0


def headers_are_as_declared(context: CheckContext, response: Response, case: Case) -> None:
    """Nothing is answered that the document does not tell of, and nothing is missing but what is there sometimes."""
    answer = case.operation.definition.raw["responses"].get(str(response.status_code))
    if answer is not None:  # that it is declared is another check's
        declared, sent = {name.lower() for name in answer.get("headers", {})}, set(response.headers)
        undeclared, missing = sent - declared - OF_HTTP, declared - sent
        if response.status_code < 400:
            missing -= SOMETIMES
        assert not undeclared, f"{response.status_code} has {sorted(undeclared)}"
        assert not missing, f"{response.status_code} lacks {sorted(missing)}"


def is_also_another_path(path: str) -> bool:
    """Whether the path fits the blanks of another, whose methods are then among those it is answered to allow."""
    others = DOCUMENT["paths"].keys() - {path}
    return any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", other), path) for other in others)


class Server:
    """A server with jobs for each operation."""

    def __init__(self, url: str, ledger: Ledger, artifacts: Path) -> None:
        self.url = url
        self._ledger = ledger
        self._artifacts = artifacts
        self._prepared: set[str] = set()

    def prepare(self, operation: str) -> None:
        """Make the operation's jobs, if it has none yet."""
        if operation in self._prepared:
            return
        self._prepared.add(operation)
        self._ledger.run(transitions.cancel_all(Wanted(), most=1000))  # so that ours are claimed
        for state in STATES:
            self._make(job_id(operation, state), state)

    def _make(self, job: str, state: str) -> None:
        self._ledger.run(transitions.submit(job, JobSpec.parse({"dataset": "digits"}), owner="ada"))
        match state:
            case "failed":
                lease = playing.claimed(self._ledger)
                self._write(lease.job_id, lease.token)
                stored = {"name": ARTIFACT, "size_bytes": 5, "sha256": hashlib.sha256(b"12345").hexdigest()}
                stored |= {"media_type": "application/x-test", "token": lease.token}
                fields = {f"artifact:{ARTIFACT}": json.dumps(stored)}
                self._ledger.run(runs.report(lease, 1, lease_ms=60_000, fields=fields))
                playing.settle(self._ledger, lease, "failed")
            case "running":
                playing.claimed(self._ledger, worker=f"of {job}")
            case "paused":
                self._ledger.run(transitions.ask(job, Event.PAUSE, owner=""))
            case "cancelled":
                self._ledger.run(transitions.ask(job, Event.CANCEL, owner=""))

    def _write(self, job: str, token: int) -> None:
        folder = run_folder(self._artifacts, job, token)
        folder.mkdir(parents=True)
        (folder / ARTIFACT).write_bytes(b"12345")
        (folder / "engine.log").write_text("a line\n")

    def try_out(self, case: Case, *, share: int, headers: dict[str, str] | None = None) -> None:
        """Send a request, if it is among those to be sent, and hold the answer against the document."""
        self.prepare(case.operation.definition.raw["operationId"])
        if is_sent(case, share):
            case.call_and_validate(
                base_url=self.url,
                headers=headers,
                timeout=TIMEOUT_S,
                additional_checks=[headers_are_as_declared],
                excluded_checks=[allow_header_conformance] if is_also_another_path(case.path) else [],
            )


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One without keys: everybody may do everything."""
    keys, artifacts = Keys("{tcontract}:"), tmp_path_factory.mktemp("artifacts")
    with Ledger(redis_url, keys) as ledger, api_server(redis_url, keys, artifacts) as url:
        yield Server(url, ledger, artifacts)


@pytest.fixture(scope="module")
def guarded(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """One that wants keys, and the header that shows one which may read and submit."""
    keys, artifacts = Keys("{tguarded}:"), tmp_path_factory.mktemp("artifacts")
    with Ledger(redis_url, keys) as ledger, api_server(redis_url, keys, artifacts) as url:
        yield Server(url, ledger, artifacts), key(ledger, "ada")


openly = contract(examples=20, with_keys=False)
with_a_key = contract(examples=10, with_keys=True)


@openly.parametrize()
def test_answers_are_as_the_document_says(case: Case, server: Server) -> None:
    server.try_out(case, share=JOB_SHARE)


@with_a_key.parametrize()
def test_answers_to_a_key_are_as_the_document_says(case: Case, guarded: tuple[Server, dict[str, str]]) -> None:
    opened, shown = guarded
    opened.try_out(case, share=1, headers=shown)
