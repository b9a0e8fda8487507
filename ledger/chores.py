"""What the keeper does for finished jobs, each chore by one keeper at a time. One function per script in `lua/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self, cast

from ledger.calls import Answer, Call
from ledger.documents import entries, shown_fields, time_of
from ledger.errors import JobNotFound
from ledger.finding import found_by
from ledger.packing import Record, pack, pack_recent
from lowland.spec import JobSpec

Kind = Literal["archive", "webhook", "retire"]
#: What is kept of an error in sending, at most.
ERROR_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do once, in somebody's hands."""

    kind: Kind
    member: str
    """A job's id; of a webhook what `Told` reads."""
    taker: str
    failures: int
    """How often it has been tried in vain."""
    request_id: str = ""
    """Of the request that made the job; empty where it is not at hand."""
    attempts: int = 0
    """How often a webhook's receiver was spoken to."""
    owner: str = ""
    """Whose the job is; empty where it is gone."""

    @property
    def job_id(self) -> str:
        """Whose chore it is."""
        return self.member.split()[0]


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook tells of, as the member of its chore says it."""

    job_id: str
    name: Literal["started", "finished"]
    status: str
    """The job's, at that moment."""
    at: datetime

    @classmethod
    def read(cls, member: str) -> Self:
        """From `id event status ms`."""
        job_id, name, status, at_ms = member.split()
        return cls(job_id, cast("Literal['started', 'finished']", name), status, time_of(at_ms))

    @property
    def message_id(self) -> str:
        """The same each time that it is told."""
        return f"{self.job_id}.{self.name}.{self.at.timestamp() * 1000:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How an attempt at telling a job's owner went."""

    answered: int | None
    """The HTTP status; None where no answer came."""
    error: str = ""
    """What went wrong; empty where nothing did."""
    is_gone: bool = False
    """Whether the receiver wants to hear nothing more of this job."""

    def words(self) -> tuple[str | int, ...]:
        """As `tick_off` takes them."""
        line = "".join(char if char.isprintable() else " " for char in self.error)
        answered = "-" if self.answered is None else self.answered
        return answered, " ".join(line.split())[:ERROR_LENGTH], int(self.is_gone)


def take(
    kind: Kind, taker: str, *, most: int, kept_ms: int, per_owner: int | None = None, owners: Sequence[str] = ()
) -> Call[list[Chore]]:
    """Take chores that are due; nobody else gets them for a while.

    Args:
        kind: of chores.
        taker: a UUID of its own for each call.
        most: how many.
        kept_ms: for how long; they are due again after that.
        per_owner: how many of one owner may be at hand at once; None for any number.
        owners: whose chores are at hand already, once for each.
    """

    def read(answer: Answer) -> list[Chore]:
        return [
            Chore(kind, str(member), taker, int(failures), request_id, int(attempts), owner)
            for member, failures, request_id, attempts, owner in cast("list[list[str]]", answer[1:])
        ]

    limit = "" if per_owner is None else per_owner
    return Call("take", (kind, taker, most, kept_ms, limit, *owners), read)


def tick_off(chore: Chore, result: Literal["done", "given_up"] = "done", *, sent: Sent | None = None) -> Call[None]:
    """A chore is done, or nobody will try it again.

    Args:
        chore: as it was taken.
        result: which of these.
        sent: how the attempt at telling the owner went, where it was one.
    """
    return _settled(chore, "", result, sent)


def put_off(chore: Chore, *, again_ms: int, sent: Sent | None = None) -> Call[None]:
    """A chore has failed and is due again later.

    Args:
        chore: as it was taken.
        again_ms: how much later.
        sent: how the attempt at telling the owner went, where it was one.
    """
    return _settled(chore, again_ms, "failed", sent)


def _settled(chore: Chore, again_ms: int | str, result: str, sent: Sent | None) -> Call[None]:
    how = sent.words() if sent else ()
    return Call("tick_off", (chore.kind, chore.member, chore.taker, again_ms, result, *how), lambda _: None)


def read_record(job_id: str) -> Call[Record]:
    """All the ledger has about a job.

    Raises:
        JobNotFound: no job has this id.
    """

    def read(answer: Answer) -> Record:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        return Record(fields=shown_fields(answer[1]), events=entries(answer[2]), points=entries(answer[3]))

    return Call("record", (job_id,), read)


def pack_job(record: Record) -> Call[bool]:
    """Pack a finished job whose record is in the store; False where it has another one by now."""
    part, names = pack(record.fields)
    args = (record.fields["id"], record.fields["finished_ms"], part, pack_recent(record), *names)
    return Call("pack", args, lambda answer: answer[0] == "ok")


def restore(record: Record) -> Call[bool]:
    """Bring a finished job back from its record; False where the ledger has it."""
    part, names = pack(record.fields)
    fields = {**record.fields, **found_by(JobSpec.stored(record.fields["spec"]))}
    kept = [word for name, value in fields.items() if name not in names for word in (name, value)]
    named = (record.fields["id"], record.fields["status"], record.fields["finished_ms"])
    return Call("restore", (*named, part, *kept), lambda answer: answer[1] == 1)


def mark_outdated(*, kept_ms: int, most: int = 100) -> Call[None]:
    """Make chores of the finished jobs that have been kept long enough."""
    return Call("outdated", (kept_ms, most), lambda answer: None)


def forget(job_id: str) -> Call[bool]:
    """Forget a finished job; False where it is not finished any more."""
    return Call("forget", (job_id,), lambda answer: answer[0] == "ok")
