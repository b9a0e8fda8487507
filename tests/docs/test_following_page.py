"""The commands and the code of the page about following a job do what it says, with a job like the one it shows."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Keys, Lease, Ledger, runs
from ledger.store import run_folder
from tests.api.servers import api_server
from tests.conftest import free_port
from tests.docs.pages import DOCS, Block, blocks
from tests.ledger.playing import claimed, settle, submit
from tests.waiting import until

PAGE = DOCS / "how-to" / "follow-a-job.md"
(PYTHON,) = blocks(PAGE, "python")
CODE = compile("\n" * (PYTHON.line - 1) + PYTHON.text, str(PAGE), "exec")
#: The first sets the job's address.
EXPORT, *CONSOLE = blocks(PAGE, "console")


def report(ledger: Ledger, lease: Lease, epoch: int, loss: float, accuracy: float) -> None:
    point = {"step": 12 * epoch, "epoch": epoch, "train_loss": loss, "validation_accuracy": accuracy}
    ledger.run(runs.report(lease, epoch, lease_ms=60_000, fields={}, point=json.dumps(point)))


#: As engines write it.
LOG = """\
2026-11-02T09:30:00+0000 INFO started device=cpu precision=fp32
2026-11-02T09:30:07+0000 INFO epoch epoch=2 step=46 train_loss=0.4 validation_accuracy=0.9
2026-11-02T09:30:07+0000 INFO result accuracy=0.9 best_accuracy=0.9 test_accuracy=0.89
"""


@pytest.fixture(scope="module")
def job(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a job that has succeeded."""
    keys, store = Keys("{tpage}:"), tmp_path_factory.mktemp("artifacts")
    with Ledger(redis_url, keys) as ledger:
        job_id = submit(ledger)
        lease = claimed(ledger)
        report(ledger, lease, 1, 2.1, 0.5)
        report(ledger, lease, 2, 0.4, 0.9)
        settle(ledger, lease, "succeeded")
    (folder := run_folder(store, job_id, 1)).mkdir(parents=True)
    (folder / "engine.log").write_text(LOG)
    with api_server(redis_url, keys, store) as url:
        yield f"{url}/jobs/{job_id}"


def test_the_address_is_set_first() -> None:
    assert re.fullmatch(r"\$ export JOB=http://127\.0\.0\.1:8000/jobs/\S+\n", EXPORT.text)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_commands_print_what_stands_below_them(job: str, block: Block, tmp_path: Path) -> None:
    lines = block.text.splitlines(keepends=True)
    commands = "".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    said = "".join(line for line in lines if not line.startswith("$ "))

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        check=False,
        env={**os.environ, "JOB": job},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    pattern = re.escape(said).replace("…", ".*")
    assert re.fullmatch(pattern, without_pings(ran.stdout), re.DOTALL), ran.stdout


def without_pings(text: str) -> str:
    """Without comments, which come when they come."""
    return re.sub(r"^:.*\n\n", "", text, flags=re.MULTILINE)


def test_the_code_prints_what_stands_below_it(
    job: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB", job)

    exec(CODE, {"__name__": "__main__"})

    assert capsys.readouterr().out == PYTHON.output


def test_the_code_goes_on_where_it_was_cut_off(
    redis_url: str, keys: Keys, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, printed = free_port(), list[str]()
    job_id = submit(ledger)
    lease = claimed(ledger)
    report(ledger, lease, 1, 2.1, 0.5)
    monkeypatch.setenv("JOB", f"http://127.0.0.1:{port}/jobs/{job_id}")
    following = threading.Thread(
        target=exec, daemon=True, args=(CODE, {"__name__": "__main__", "print": printed.append})
    )
    with api_server(redis_url, keys, tmp_path, port=port):
        following.start()
        until(lambda: printed == ["epoch 1: 2.1"], "the first point is printed")
    report(ledger, lease, 2, 0.4, 0.9)
    settle(ledger, lease, "succeeded")
    with api_server(redis_url, keys, tmp_path, port=port):
        following.join(30)

    assert not following.is_alive()
    assert printed == (PYTHON.output or "").splitlines()
