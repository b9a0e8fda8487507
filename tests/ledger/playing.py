"""A worker and its jobs, played by hand against a real ledger."""

import uuid
from collections.abc import Sequence
from typing import Any

import uuid_utils

from ledger import Failure, Lease, Ledger, Machine, NotEnrolled, Presence, Slot, presence, reads, runs, transitions
from ledger.runs import Ended
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Job

SPEC_JOB = JobSpec.parse({"dataset": "digits"})
LOST = Failure(type="engine-died", title="The engine died", detail="it was killed")
STORE = "0123456789abcdef"


def submit(ledger: Ledger, *, owner: str = "ada", **spec: Any) -> str:
    """Queue a job and return its id."""
    job_id = str(uuid_utils.uuid7())
    ledger.run(transitions.submit(job_id, JobSpec.parse({"dataset": "digits", **spec}), owner=owner))
    return job_id


def machine(
    *devices: str, classes: Sequence[str] = ("any", "cpu"), memory_gb: float = 0.0, model: str = "a CPU", **said: Any
) -> Machine:
    """A machine with these slots."""
    slots = [Slot(name=name, model=model, memory_gb=memory_gb) for name in devices or ("cpu:0",)]
    return Machine(classes=classes, slots=slots, **said)


def claim(
    ledger: Ledger,
    *,
    worker: str = "w1",
    incarnation: str = "i1",
    runner: str = "r1",
    lease_ms: int = 60_000,
    offers: Machine | None = None,
    claim_id: str | None = None,
    begin: bool = True,
) -> Lease | None:
    """Claim as a worker would, which enrolls if it has not, and start an engine."""
    call = runs.claim(
        claim_id or str(uuid.uuid4()),
        worker=worker,
        incarnation=incarnation,
        runner=runner,
        lease_ms=lease_ms,
        failure=LOST,
    )
    try:
        lease = ledger.run(call)
    except NotEnrolled:
        enroll(ledger, worker, incarnation=incarnation, offers=offers)
        lease = ledger.run(call)
    if lease is not None and begin:
        ledger.run(runs.begin(lease, lease_ms=lease_ms))
    return lease


def claimed(ledger: Ledger, **options: Any) -> Lease:
    """Claim, where there must be something to claim."""
    lease = claim(ledger, **options)
    assert lease is not None
    return lease


def enroll(
    ledger: Ledger,
    worker: str = "w1",
    *,
    incarnation: str = "i1",
    runners: tuple[str, ...] = (),
    offers: Machine | None = None,
    store: str = STORE,
) -> list[Ended]:
    """Enroll a worker, by default with one CPU slot."""
    who = Presence(worker=worker, incarnation=incarnation, runners=runners)
    return ledger.run(presence.enroll(who, offers or machine(), store=store, failure=LOST))


def beat(
    ledger: Ledger, worker: str = "w1", *, incarnation: str = "i1", runners: tuple[str, ...] = ()
) -> Sequence[Ended]:
    """Let an enrolled worker's heart beat."""
    who = Presence(worker=worker, incarnation=incarnation, runners=runners)
    return ledger.run(presence.heartbeat(who, failure=LOST)).ended


def settle(ledger: Ledger, lease: Lease, ending: runs.Ending) -> Status:
    """End a run."""
    failure = LOST if ending in {"lost", "failed"} else None
    return ledger.run(runs.settle(lease, ending, detail="as played", failure=failure))


def job(ledger: Ledger, job_id: str) -> Job:
    """Read a job."""
    return ledger.run(reads.get_job(job_id))
