"""DELETE /jobs/{id}, and what a job can go on from."""

import json
from pathlib import Path

import httpx2
import pytest

from ledger import Ledger
from ledger.store import job_folder
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.ledger.archiving import WEIGHTS, finished, retry, run_once, write_weights
from tests.waiting import until
from tests.worker.keepers import doing, working

SOME_ID = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"


def test_a_job_that_has_ended_is_deleted_with_its_files(
    http: httpx2.Client, ledger: Ledger, redis_url: str, tmp_path: Path
) -> None:
    job_id = finished(ledger)
    write_weights(tmp_path, job_id)

    deleted = http.delete(f"/jobs/{job_id}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    for path in ("", "/artifacts/model.safetensors", "/checkpoints"):
        assert_problem(http.get(f"/jobs/{job_id}{path}"), 404, "job-not-found")
    assert http.get("/jobs").json()["jobs"] == []
    assert_problem(http.delete(f"/jobs/{job_id}"), 404, "job-not-found")
    with working(ledger, redis_url, tmp_path):
        until(lambda: not job_folder(tmp_path, job_id).exists(), "its files are gone")


def test_the_files_go_though_the_keeper_died_over_it(
    http: httpx2.Client, ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = finished(ledger)
    write_weights(tmp_path, job_id)
    http.delete(f"/jobs/{job_id}")
    with doing(ledger, redis_url, tmp_path) as keeper, monkeypatch.context() as patched:
        patched.setattr("worker.chores.KEPT_MS", 100)
        patched.setattr(keeper, "_do", lambda chore: None)  # it takes the chore, and is never heard of again
        keeper.start_due()
    assert job_folder(tmp_path, job_id).exists()

    with working(ledger, redis_url, tmp_path):
        until(lambda: not job_folder(tmp_path, job_id).exists(), "another one does it")


@pytest.mark.parametrize("state", ["queued", "running", "paused"])
def test_a_job_that_has_not_ended_is_not_deleted(http: httpx2.Client, worker: Worker, state: str) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    if state == "running":
        worker.claim()
    if state == "paused":
        http.post(f"/jobs/{job_id}/pause")

    problem = assert_problem(http.delete(f"/jobs/{job_id}"), 409, "deletion-refused")

    assert problem["job_status"] == state
    assert problem["allowed_from"] == ["succeeded", "failed", "cancelled"]
    assert http.get(f"/jobs/{job_id}").json()["status"] == state


@pytest.mark.parametrize("job_id", [SOME_ID, "1", "cancel"])
def test_what_is_not_there_is_not_deleted(http: httpx2.Client, job_id: str) -> None:
    assert_problem(http.delete(f"/jobs/{job_id}"), 404, "job-not-found")
    assert_problem(http.get(f"/jobs/{job_id}/checkpoints"), 404, "job-not-found")


def test_the_idempotency_key_of_a_deleted_job_makes_no_other(http: httpx2.Client, worker: Worker) -> None:
    sent = {"json": {"dataset": "digits"}, "headers": {"Idempotency-Key": "k"}}
    job_id = http.post("/jobs", **sent).json()["id"]  # type: ignore[arg-type]
    worker.settle(worker.claim(), "succeeded")

    http.delete(f"/jobs/{job_id}")

    assert_problem(http.post("/jobs", **sent), 410, "job-gone")  # type: ignore[arg-type]


def test_a_job_cannot_start_from_the_weights_of_one_that_was_deleted(http: httpx2.Client, worker: Worker) -> None:
    origin = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    lease = worker.claim()
    worker.report(lease, 1, **{"artifact:model.safetensors": json.dumps({**WEIGHTS, "token": lease.token})})
    worker.settle(lease, "succeeded")
    http.delete(f"/jobs/{origin}")

    body = {"dataset": "digits", "model": {"name": "mlp", "init_from": {"job": origin}}}

    assert_problem(http.post("/jobs", json=body), 422, "spec-invalid")


def test_what_a_job_can_go_on_from_is_listed(http: httpx2.Client, ledger: Ledger) -> None:
    job_id = finished(ledger)
    first = {"name": "2.pt", "step": 2, "size_bytes": 1, "sha256": "0" * 64, "token": 1, "attempt": 1}

    assert http.get(f"/jobs/{job_id}/checkpoints").json() == {"checkpoints": [first]}

    retry(ledger, job_id, from_checkpoint=True)
    run_once(ledger)
    assert http.get(f"/jobs/{job_id}/checkpoints").json() == {"checkpoints": [{**first, "token": 2, "attempt": 2}]}


def test_a_new_job_has_nothing_to_go_on_from(http: httpx2.Client) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]

    assert http.get(f"/jobs/{job_id}/checkpoints").json() == {"checkpoints": []}
