"""What can go wrong with the ledger.

LedgerError
  ├ JobNotFound           no job has this id
  ├ JobGone               the job that was made under an idempotency key has been deleted
  ├ IdempotencyKeyReused  the idempotency key has made another job than is asked for now
  ├ QuotaReached          the owner has as many unfinished jobs as it may
  ├ KeyNotFound           no API key has this id
  ├ WorkerNotFound        no worker has this name
  ├ CheckpointMissing     the job has no checkpoint to go on from
  ├ WeightsMissing        the job whose weights another is to start from has none
  ├ EventRefused          the job's state does not allow what was asked
  ├ DeletionRefused       the job has not ended
  ├ LeaseLost             the fencing token is not the current one: the job belongs to somebody else
  ├ NotEnrolled           the ledger does not know the worker
  ├ Displaced             another worker has taken this one's name
  ├ OtherStore            the worker's artifact store is not the one that belongs to the ledger
  ├ LedgerUnavailable     Redis did not answer, or could not write; any call may be repeated
  └ LedgerUnusable        the server at this address cannot hold a ledger, or holds one of another version
"""

from lowland.errors import LowlandError
from lowland.spec.show import shown
from lowland.spec.states import TRANSITIONS, Event, Status, Wish


class LedgerError(LowlandError):
    """The root of the ledger's errors."""


class JobNotFound(LedgerError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}")


class JobGone(LedgerError):
    """The job that was made under an idempotency key has been deleted."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"this Idempotency-Key has made job {job_id}, which was deleted; use a new key to train again")


class IdempotencyKeyReused(LedgerError):
    """The idempotency key was used for another body."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key = key
        self.job_id = job_id
        super().__init__(
            f"Idempotency-Key is {shown(key)}, under which another body has made job {job_id}; use a new key for each "
            "job, and the same one only to send the same JSON again, written the same way"
        )


class QuotaReached(LedgerError):
    """The owner has as many unfinished jobs as it may."""

    def __init__(self, owner: str, quota: int) -> None:
        self.owner = owner
        self.quota = quota
        super().__init__(
            f"{owner} may have {quota} jobs queued, running or paused, and has as many; wait until one has ended, or "
            "cancel one"
        )


class KeyNotFound(LedgerError):
    """No API key has this id."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"there is no key {shown(key_id)}; `lowland keys ls` lists those there are")


class WeightsMissing(LedgerError):
    """The job whose weights another is to start from is not known, or has none."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        super().__init__(f"model.init_from.job is {shown(job_id)}, {problem}; give a job that has succeeded")


class EventRefused(LedgerError):
    """The job's state does not allow the event."""

    def __init__(self, job_id: str, event: Event, status: Status, requested: Wish | None = None) -> None:
        self.job_id = job_id
        self.event = event
        self.status = status
        self.allowed_from = tuple(TRANSITIONS[event])
        states = " or ".join(self.allowed_from)
        if requested == "cancel":
            super().__init__(f"job {job_id} is being cancelled; {event} is not possible until it is")
        else:
            super().__init__(f"job {job_id} is {status}; {event} is possible for a job that is {states}")


class DeletionRefused(LedgerError):
    """The job has not ended, and cannot be deleted."""

    def __init__(self, job_id: str, status: Status) -> None:
        self.job_id = job_id
        self.status = status
        self.allowed_from = tuple(one for one in Status if one.terminal)
        states = " or ".join(self.allowed_from)
        super().__init__(f"job {job_id} is {status}; a job that is {states} can be deleted: cancel it first")


class WorkerNotFound(LedgerError):
    """No worker has this name."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(f"there is no worker {shown(worker)}; GET /workers names those there are")


class CheckpointMissing(LedgerError):
    """The job has no checkpoint to go on from."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id} has no checkpoint to go on from; retry it from the start")


class LeaseLost(LedgerError):
    """The fencing token is not the current one; nothing was written."""

    def __init__(self, job_id: str, token: int) -> None:
        self.job_id = job_id
        self.token = token
        super().__init__(f"run {token} of job {job_id} no longer holds the lease")


class NotEnrolled(LedgerError):
    """The ledger does not know the worker: it has not enrolled, or the ledger was lost."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(f"worker {worker} is not enrolled")


class Displaced(LedgerError):
    """Another worker has enrolled under the same name."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(f"another worker has the name {worker}; each needs its own (celery -n NAME@%h)")


class OtherStore(LedgerError):
    """The worker's artifact store is not the one that belongs to the ledger."""

    def __init__(self, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"this folder is not the shared one: its store.json has the id {found}, the ledger's artifact store has "
            f"{known}; mount the folder that the API and the other workers use"
        )


class LedgerUnavailable(LedgerError):
    """Redis did not answer in time, or could not write. Every call may be repeated."""


class LedgerUnusable(LedgerError):
    """The server cannot hold a ledger: too old, or written by another version of the layout."""
