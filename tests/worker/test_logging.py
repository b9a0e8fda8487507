"""What a process of the server writes to its log: JSON lines in one form, whoever logs."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger import Keys, LedgerSettings
from ledger.logs import about, formatter, without_secrets
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


def line(settings: LedgerSettings, message: str, *args: object, on_terminal: bool = False) -> str:
    record = logging.LogRecord("worker.runner", logging.WARNING, __file__, 1, message, args, None)
    return formatter(settings, process="worker", on_terminal=on_terminal).format(record)


def test_a_line_is_json_and_names_the_run_it_belongs_to() -> None:
    with about(job_id="j1", attempt=2, token=3, request_id="r1", worker="w1"):
        said = json.loads(line(LedgerSettings(), "lease lost: %s", 'job "j1"'))

    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": 'lease lost: job "j1"',
        "level": "warning",
        "logger": "worker.runner",
        "process": "worker",
        "job_id": "j1",
        "attempt": 2,
        "token": 3,
        "request_id": "r1",
        "worker": "w1",
    }
    assert "job_id" not in json.loads(line(LedgerSettings(), "outside"))


@pytest.mark.parametrize(
    ("form", "on_terminal", "is_json"), [(None, False, True), (None, True, False), ("json", True, True)]
)
def test_json_is_for_machines_and_lines_are_for_terminals(form: str | None, on_terminal: bool, is_json: bool) -> None:
    settings = LedgerSettings.model_validate({"log_format": form})

    assert line(settings, "lease lost", on_terminal=on_terminal).startswith("{") == is_json


def test_lines_for_people_have_no_colours_in_a_file() -> None:
    said = line(LedgerSettings(log_format="console"), "lease lost")

    assert "\x1b" not in said
    assert "lease lost" in said


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("redis://:pa55@redis:6379/0 is away", "redis://***@redis:6379/0 is away"),
        ("rediss://ada:pa55@redis/0", "rediss://***@redis/0"),
        ("{'authorization': 'Bearer abcDEF123._-~'}", "{'authorization': '***'}"),
        ("signed by whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.", "signed by ***."),
        ("http://example.org:8000/a@b?c=d", "http://example.org:8000/a@b?c=d"),
        ("job 01a2 is running", "job 01a2 is running"),
        ("the key lowland_" + "aB3-_" * 8 + " and lowland_jobs", "the key *** and lowland_jobs"),
    ],
)
def test_secrets_are_struck_out(said: str, written: str) -> None:
    assert without_secrets(said) == written


@pytest.mark.parametrize("module", [["worker.keeper"], ["celery", "-A", "worker.app", "worker", "-P", "solo"]])
def test_keeper_and_worker_write_json_lines_and_no_password(module: list[str], keys: Keys, tmp_path: Path) -> None:
    """Celery's own lines too, and what a lost connection says."""
    environment = {
        **os.environ,
        "LOWLAND_REDIS_URL": f"redis://:pa55word@127.0.0.1:{free_port()}/0",
        "LOWLAND_REDIS_PREFIX": keys.prefix,
        "LOWLAND_ARTIFACT_DIR": str(tmp_path),
        "LOWLAND_ENGINE_START": "subprocess",
        "PYTHONWARNINGS": "ignore",  # of running as root, before any log is set up
    }
    program = subprocess.Popen(
        [sys.executable, "-m", *module], cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert program.stderr is not None

    lines = [program.stderr.readline().decode() for _ in range(2)]
    program.kill()
    program.stderr.close()
    program.wait(10)

    said = [json.loads(one) for one in lines]
    assert {one["process"] for one in said} == {"keeper" if module == ["worker.keeper"] else "worker"}
    assert "pa55word" not in "".join(lines)
