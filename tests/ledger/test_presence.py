"""Who is there, what they run, and since when."""

from datetime import datetime

from ledger import Ledger, presence
from lowland.spec.resource import Device, Worker
from tests.ledger.playing import claimed, enroll, job, machine, settle, submit


def workers(ledger: Ledger) -> list[Worker]:
    return ledger.run(presence.list_workers())


def cpu(number: int, job_id: str | None = None, since: datetime | None = None) -> Device:
    return Device(name=f"cpu:{number}", model="a CPU", memory_gb=0.0, job=job_id, since=since)


def test_a_worker_tells_what_each_device_trains_and_since_when(ledger: Ledger) -> None:
    enroll(ledger, offers=machine("cpu:0", "cpu:1"))
    (before,) = workers(ledger)
    job_id = submit(ledger)

    lease = claimed(ledger)

    (worker,) = workers(ledger)
    started_at = job(ledger, job_id).attempts[0].started_at
    assert started_at >= worker.since
    assert worker == before.model_copy(
        update={"devices": [cpu(0, job_id, started_at), cpu(1)], "free": 1, "heard_at": worker.heard_at}
    )
    settle(ledger, lease, "succeeded")
    (after,) = workers(ledger)
    assert (after.devices, after.free, after.since) == ([cpu(0), cpu(1)], 2, before.since)


def test_the_second_run_of_a_job_has_its_own_time(ledger: Ledger) -> None:
    job_id = submit(ledger)
    settle(ledger, claimed(ledger), "lost")
    ledger._client.hset(ledger.keys.key("job", job_id), "run:1:started_ms", 1000)

    claimed(ledger)

    first, second = job(ledger, job_id).attempts
    (worker,) = workers(ledger)
    assert second.started_at > first.started_at
    assert worker.devices == [cpu(0, job_id, second.started_at)]


def test_of_a_run_that_is_forgotten_nobody_knows_since_when(ledger: Ledger) -> None:
    """A runner that is cut off holds its device while its job runs elsewhere, ends, and is packed or deleted."""
    job_id = submit(ledger)
    claimed(ledger)
    ledger._client.delete(ledger.keys.key("job", job_id))

    (worker,) = workers(ledger)

    assert worker.devices == [cpu(0, job_id, None)]


def test_a_worker_that_starts_again_is_there_since_then(ledger: Ledger) -> None:
    enroll(ledger, incarnation="i1")
    ledger._client.hset(ledger.keys.key("worker", "w1"), "since_ms", 1000)
    ledger._client.delete(ledger.keys.key("workers"))  # it fell silent

    enroll(ledger, incarnation="i2")

    (worker,) = workers(ledger)
    assert worker.since == worker.heard_at
