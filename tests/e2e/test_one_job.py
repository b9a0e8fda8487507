"""A job's way through the whole house, over HTTP only."""

import hashlib
from pathlib import Path

from lowland import Client
from lowland.spec import Status
from tests.e2e.training import ENDLESS, SMALL, engine_of, finished, outcomes, training
from tests.stack.house import House, alive
from tests.waiting import until


def test_a_job_is_trained_and_what_it_made_can_be_fetched(client: Client, tmp_path: Path) -> None:
    job = finished(client, client.submit({**SMALL, "sam": "sam", "name": "first"}))

    assert job.status == Status.SUCCEEDED, job.error
    assert job.accuracy is not None
    assert job.test_accuracy is not None
    assert 0.5 < job.accuracy <= 1
    assert 0.5 < job.test_accuracy <= 1
    assert outcomes(job) == [(1, "succeeded")]
    assert "model.safetensors" in {artifact.name for artifact in job.artifacts}
    for artifact in job.artifacts:
        content = client.download(job.id, artifact.name, tmp_path / artifact.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact.size_bytes, artifact.sha256)


def test_a_running_job_is_cancelled_and_its_engine_ends(running: House, client: Client) -> None:
    job = client.submit(ENDLESS)
    training(client, job)
    engine = engine_of(running)

    client.cancel(job.id)

    job = finished(client, job)
    assert (job.status, outcomes(job)) == (Status.CANCELLED, [(1, "cancelled")])
    until(lambda: not alive([engine]), "the engine is gone", seconds=5)


def test_a_waiting_job_is_cancelled_and_never_trained(client: Client) -> None:
    first = client.submit(ENDLESS)
    training(client, first)
    waiting = client.submit(SMALL)

    cancelled = client.cancel(waiting.id)

    assert (cancelled.status, cancelled.terminal, cancelled.attempts) == (Status.CANCELLED, True, [])
    client.cancel(first.id)
    assert finished(client, first).status == Status.CANCELLED
    assert client.get(waiting.id) == cancelled
