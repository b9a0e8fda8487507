"""A job of several processes, through a whole house with as many slots."""

from collections.abc import Iterator

import pytest

from lowland import Client
from lowland.spec import Status
from tests.e2e.training import ENDLESS, SMALL, engine_of, finished, outcomes, training
from tests.stack.house import House, alive, house
from tests.waiting import until

TWO = {"resources": {"world_size": 2, "device": "cpu"}}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose worker has two slots."""
    with house(tmp_path_factory.mktemp("wide") / "data", "--workers", "2") as started:
        yield started


def test_a_job_of_two_processes_has_both_devices_and_is_trained(wide: House) -> None:
    with Client(wide.url) as client:
        job = finished(client, client.submit({**SMALL, **TWO}))

    assert job.status == Status.SUCCEEDED, job.error
    assert job.device == "cpu:0,cpu:1"
    assert outcomes(job) == [(1, "succeeded")]


def test_a_cancelled_job_leaves_none_of_its_processes_and_frees_both_devices(wide: House) -> None:
    with Client(wide.url) as client:
        job = client.submit({**ENDLESS, **TWO})
        training(client, job)
        engine = engine_of(wide)
        ranks = [engine, *engine.children()]

        client.cancel(job.id)

        assert len(ranks) == 2
        assert outcomes(finished(client, job)) == [(1, "cancelled")]
        until(lambda: not alive(ranks), "no rank is left", seconds=5)
        assert finished(client, client.submit({**SMALL, **TWO})).status == Status.SUCCEEDED


def test_a_job_wider_than_the_only_worker_waits_and_says_why(client: Client) -> None:
    job = client.submit({**SMALL, **TWO})

    assert job.queue is not None
    assert job.queue.reason == "needs 2 devices; the largest live worker has 1"
    client.cancel(job.id)
