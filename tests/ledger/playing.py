"""A worker and its jobs, played by hand against a real ledger."""

import uuid
from typing import Any

import uuid_utils

from ledger import Failure, Lease, Ledger, Presence, reads, transitions
from ledger.transitions import Ended
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Job
from lowland.spec.states import Outcome

SPEC_JOB = JobSpec.parse({"dataset": "digits"})
LOST = Failure(type="engine-died", title="The engine died", detail="it was killed")


def submit(ledger: Ledger, *, owner: str = "ada", **spec: Any) -> str:
    """Queue a job and return its id."""
    job_id = str(uuid_utils.uuid7())
    ledger.run(transitions.submit(job_id, JobSpec.parse({"dataset": "digits", **spec}), owner=owner))
    return job_id


def claim(
    ledger: Ledger,
    *,
    worker: str = "w1",
    runner: str = "r1",
    lease_ms: int = 60_000,
    classes: tuple[str, ...] = ("any", "cpu"),
    devices: tuple[str, ...] = ("cpu:0",),
    claim_id: str | None = None,
) -> Lease | None:
    """Claim as a worker would."""
    return ledger.run(
        transitions.claim(
            claim_id or str(uuid.uuid4()),
            worker=worker,
            runner=runner,
            lease_ms=lease_ms,
            classes=classes,
            devices=devices,
            failure=LOST,
        )
    )


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
    devices: tuple[str, ...] = ("cpu:0",),
) -> list[Ended]:
    """Enroll a worker with CPU slots."""
    presence = Presence(worker=worker, incarnation=incarnation, runners=runners)
    return ledger.run(transitions.enroll(presence, classes=["any", "cpu"], devices=list(devices), failure=LOST))


def beat(ledger: Ledger, worker: str = "w1", *, incarnation: str = "i1", runners: tuple[str, ...] = ()) -> list[Ended]:
    """Let an enrolled worker's heart beat."""
    presence = Presence(worker=worker, incarnation=incarnation, runners=runners)
    return ledger.run(transitions.heartbeat(presence, failure=LOST))


def settle(ledger: Ledger, lease: Lease, outcome: Outcome) -> Status:
    """End a run."""
    failure = LOST if outcome in {"lost", "failed"} else None
    return ledger.run(transitions.settle(lease, outcome, detail="as played", failure=failure))


def job(ledger: Ledger, job_id: str) -> Job:
    """Read a job."""
    return ledger.run(reads.get_job(job_id))
