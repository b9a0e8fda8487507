"""A job's runs and events, for whoever reads its logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ledger.calls import Answer, Call
from ledger.documents import pairs
from ledger.errors import JobNotFound
from ledger.packing import Entry, Fields, unpack, unpack_recent
from lowland.spec import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run of a job, past or present."""

    token: int
    attempt: int
    began: bool
    """Whether an engine was started for it."""
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of a job's past."""

    status: Status
    runs: Sequence[PastRun]
    """The latest last."""
    events: Sequence[Entry]
    """Those that are at hand."""

    def run_of(self, attempt: int | None) -> PastRun | None:
        """The latest run of an attempt, or of all; one that was put back shares its attempt with the next."""
        found = [run for run in self.runs if attempt is None or run.attempt == attempt]
        return found[-1] if found else None


def past(job_id: str, *, after: str = "", most: int = 1000) -> Call[Past]:
    """A job's past.

    Args:
        job_id: which job.
        after: id of an event: only those after it.
        most: how many events.

    Raises:
        JobNotFound: no job has this id.
    """

    def read(answer: Answer) -> Past:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        flat, packed, recent, found = cast("tuple[list[str], str, str, list[tuple[str, list[str]]]]", tuple(answer[1:]))
        fields = {**pairs(flat), **(unpack(packed) if packed else {})}
        events = unpack_recent(recent).events if recent else [(event_id, pairs(said)) for event_id, said in found]
        return Past(
            status=Status(fields["status"]),
            runs=_runs(fields),
            events=[event for event in events if not after or order(event[0]) > order(after)],
        )

    return Call("past", (job_id, after, most), read)


def order(event_id: str) -> tuple[int, int]:
    """What an event's id says of its place."""
    ms, _, number = event_id.partition("-")
    return int(ms), int(number)


def _runs(fields: Fields) -> list[PastRun]:
    return [
        PastRun(
            token=token,
            attempt=int(fields[f"run:{token}:attempt"]),
            began=f"run:{token}:engine" in fields,
            ended=f"run:{token}:ended_ms" in fields,
        )
        for token in range(1, int(fields["token"]) + 1)
        if f"run:{token}:attempt" in fields
    ]
