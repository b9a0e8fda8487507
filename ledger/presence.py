"""Workers and their machines: who is there, and who is to go. One function per script in `lua/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ledger.calls import Answer, Call
from ledger.documents import pairs, time_of
from ledger.errors import Displaced, NotEnrolled, OtherStore, WorkerNotFound
from ledger.machines import Machine, Slot, read_slots
from ledger.runs import Ended, Failure, read_ended
from lowland.spec.resource import Device, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker says of itself."""

    worker: str
    """Its name, unique among all machines."""
    incarnation: str
    """One per start."""
    runners: Sequence[str]
    """Those of its runners that live."""


def enroll(presence: Presence, machine: Machine, *, store: str, failure: Failure) -> Call[list[Ended]]:
    """Register a worker under its name; runs of runners that do not live any more end as lost.

    Args:
        presence: who it is.
        machine: what it offers.
        store: id of its artifact store.
        failure: how those runs end.

    Raises:
        OtherStore: the ledger belongs to another artifact store.
        Displaced: another worker has the name, and was heard a moment ago.
    """

    def read(answer: Answer) -> list[Ended]:
        if answer[0] == "name_in_use":
            raise Displaced(presence.worker)
        if answer[0] == "other_store":
            raise OtherStore(store, str(answer[1]))
        return read_ended(answer)

    said = [part for pair in machine.to_fields().items() for part in pair]
    known = (presence.worker, presence.incarnation, store, failure.detail, failure.to_json())
    return Call("enroll", (*known, len(said), *said, *presence.runners), read)


def adopt(store: str) -> Call[None]:
    """Make an artifact store, by its id, the one that belongs to the ledger, where that has none.

    Raises:
        OtherStore: it has another one.
    """

    def read(answer: Answer) -> None:
        if answer[0] == "other_store":
            raise OtherStore(store, str(answer[1]))

    return Call("adopt", (store,), read)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the ledger answers to a heartbeat."""

    draining: bool
    """Whether the worker is to stop."""
    ended: Sequence[Ended]
    """Runs that ended because their runner does not live any more."""


def heartbeat(presence: Presence, *, failure: Failure) -> Call[Heard]:
    """A worker is alive; runs of runners that do not live any more end as lost.

    Raises:
        NotEnrolled: the ledger does not know the worker.
        Displaced: another worker has taken its name.
    """

    def read(answer: Answer) -> Heard:
        if answer[0] == "not_enrolled":
            raise NotEnrolled(presence.worker)
        if answer[0] == "displaced":
            raise Displaced(presence.worker)
        return Heard(answer[1] == 1, read_ended(answer[1:]))

    args = (presence.worker, presence.incarnation, failure.detail, failure.to_json(), *presence.runners)
    return Call("heartbeat", args, read)


def leave(presence: Presence, *, failure: Failure) -> Call[None]:
    """A worker has stopped in order; a run that it could not settle ends as lost."""
    args = (presence.worker, presence.incarnation, failure.detail, failure.to_json())
    return Call("leave", args, lambda answer: None)


def drain(worker: str) -> Call[Worker]:
    """Have a worker stop: it gets no more jobs, puts back those it runs, and exits. Started again it is as before.

    Raises:
        WorkerNotFound: no worker has this name.
    """

    def read(answer: Answer) -> Worker:
        if answer[0] == "no_such_worker":
            raise WorkerNotFound(worker)
        return _shown(answer[1])

    return Call("drain", (worker,), read)


def list_workers() -> Call[list[Worker]]:
    """Every worker that has not left, also those that fell silent within the last day."""
    return Call("workers", (), lambda answer: [_shown(part) for part in answer[1:]])


def is_attended() -> Call[bool]:
    """Whether a keeper looked at the leases a moment ago."""
    return Call("attended", (), lambda answer: answer[1] == 1)


def _shown(part: object) -> Worker:
    name, alive, heard_ms, said, used = cast("tuple[str, int, str, list[str], list[tuple[str, str, str]]]", part)
    fields, jobs = pairs(said), {slot: (job, started_ms) for slot, job, started_ms in used}
    devices = [_device(slot, *jobs.get(slot.name, (None, ""))) for slot in read_slots(fields)]
    return Worker(
        id=name,
        alive=alive == 1,
        draining="draining" in fields,
        since=time_of(fields["since_ms"]),
        heard_at=time_of(heard_ms),
        labels=[label for label in fields["labels"].split(",") if label],
        devices=devices,
        free=sum(device.job is None for device in devices),
    )


def _device(slot: Slot, job: str | None, started_ms: str) -> Device:
    since = time_of(started_ms) if started_ms else None
    return Device(name=slot.name, model=slot.model, memory_gb=slot.memory_gb, job=job, since=since)
