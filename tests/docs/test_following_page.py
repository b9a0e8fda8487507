"""The code of the page about following a job goes on where its connection was cut off."""

import json
import threading
from pathlib import Path

import pytest

from ledger import Keys, Lease, Ledger, runs
from tests.api.servers import api_server
from tests.conftest import free_port
from tests.docs.pages import DOCS, blocks
from tests.ledger.playing import claimed, settle, submit
from tests.waiting import until

PAGE = DOCS / "how-to" / "follow-a-job.md"
(PYTHON,) = blocks(PAGE, "python")
CODE = compile("\n" * (PYTHON.line - 1) + PYTHON.text, str(PAGE), "exec")


def report(ledger: Ledger, lease: Lease, epoch: int, loss: float) -> None:
    point = {"step": 12 * epoch, "epoch": epoch, "train_loss": loss}
    ledger.run(runs.report(lease, epoch, lease_ms=60_000, fields={}, point=json.dumps(point)))


def test_the_code_goes_on_where_it_was_cut_off(
    redis_url: str, keys: Keys, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, printed = free_port(), list[str]()
    job_id = submit(ledger)
    lease = claimed(ledger)
    report(ledger, lease, 1, 2.1)
    monkeypatch.setenv("JOB", f"http://127.0.0.1:{port}/jobs/{job_id}")
    following = threading.Thread(
        target=exec, daemon=True, args=(CODE, {"__name__": "__main__", "print": printed.append})
    )
    with api_server(redis_url, keys, tmp_path, port=port):
        following.start()
        until(lambda: printed == ["epoch 1: 2.1"], "the first point is printed")
    report(ledger, lease, 2, 0.4)
    settle(ledger, lease, "succeeded")
    with api_server(redis_url, keys, tmp_path, port=port):
        following.join(30)

    assert not following.is_alive()
    assert printed == ["epoch 1: 2.1", "epoch 2: 0.4", "succeeded"]
