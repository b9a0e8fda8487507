"""Pausing, resuming and retrying a job, and draining a worker, through the whole stack."""

import http.client
import json
from pathlib import Path
from urllib.parse import quote

from lowland import Client
from lowland.spec import Status
from tests.e2e.training import ENDLESS, SMALL, engine_of, finished, outcomes, training
from tests.stack.house import House, alive, get_json, house
from tests.waiting import until


def test_a_paused_job_frees_its_slot_and_goes_on_from_its_checkpoint(running: House, client: Client) -> None:
    job = client.submit({**SMALL, "epochs": 100})
    training(client, job)

    assert client.pause(job.id).requested == "pause"
    until(lambda: client.get(job.id).status == Status.PAUSED, "the job is paused")
    assert finished(client, client.submit(SMALL)).status == Status.SUCCEEDED
    paused = client.get(job.id)
    client.resume(job.id)

    done = finished(client, job)
    assert (paused.status, paused.terminal, done.status) == (Status.PAUSED, False, Status.SUCCEEDED)
    assert outcomes(done) == [(1, "paused"), (1, "succeeded")]
    assert "goes on" not in " ".join(notice.detail for notice in done.notices)


def test_a_cancelled_job_is_retried_from_its_checkpoint(running: House, client: Client) -> None:
    job = client.submit({**SMALL, "epochs": 100, "checkpoint_every_epochs": 1})
    training(client, job)
    client.cancel(job.id)
    cancelled = finished(client, job)
    # which it still can be when its record has gone to the artifact store
    until((running.folder / "artifacts" / "jobs" / job.id / "record.json").exists, "the record is archived")

    client.retry(job.id, from_checkpoint=True)

    done = finished(client, job)
    assert (cancelled.status, done.status) == (Status.CANCELLED, Status.SUCCEEDED)
    assert outcomes(done) == [(1, "cancelled"), (1, "succeeded")]
    assert done.error is None


def test_a_worker_that_is_drained_puts_its_job_back_and_exits(tmp_path: Path) -> None:
    with house(tmp_path / "data", "--workers", "1") as running, Client(running.url) as client:
        job = client.submit(ENDLESS)
        training(client, job)
        engine, worker = engine_of(running), running.child("worker")
        (told,) = (get_json(f"{running.url}/workers") or {})["workers"]
        assert (told["alive"], told["free"], told["devices"][0]["job"]) == (True, 0, job.id)

        assert drain(running, told["id"])["draining"]

        until(lambda: not alive([engine, worker]), "the worker is gone")
        put_back = client.get(job.id)
        assert (put_back.status, outcomes(put_back)) == (Status.QUEUED, [(1, "put_back")])
        assert put_back.queue is not None
        assert put_back.queue.reason == "no live worker offers any device"
        until(lambda: "is not started again: name=worker" in running.log, "the house leaves it at that")
        assert drain(running, told["id"], status=404)["type"] == "urn:lowland:problem:worker-not-found"


def drain(running: House, worker: str, *, status: int = 200) -> dict[str, object]:
    """Ask for it, and return what is answered."""
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=5)
    connection.request("POST", f"/workers/{quote(worker, safe='')}/drain")
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status == status, answer
    return answer
