"""What has happened to a job, in order: its events and the points of its series; and its runs, by which its logs lie.

A position says how far somebody has read in both streams; from there on nothing is missed and nothing comes twice. Of a
job that is finished and packed the ledger keeps the latest entries for an hour; all of them are in its record in the
artifact store (packing.py), and so are those of a job's earlier lives.
"""

import heapq
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self, cast

from ledger.calls import Answer, Call
from ledger.documents import entries, shown_fields, time_of
from ledger.errors import JobNotFound
from ledger.packing import Entry, Fields, Recent, Record, unpack_recent
from lowland.spec import Status
from lowland.spec.base import Unfit

#: The id of an event or a point. `\d` would be the digits of any script.
ENTRY_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_POSITION: Final = re.compile(rf"({ENTRY_ID.pattern})_({ENTRY_ID.pattern})(_end)?")


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has read: the ids of the last event and the last point, and whether he was told of the end."""

    event: str = "0-0"
    point: str = "0-0"
    is_end: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        """From what `str` gives.

        Raises:
            Unfit: it is no position.
        """
        if not (found := _POSITION.fullmatch(text)):
            raise Unfit("the id of the last event that was received")
        return cls(found[1], found[2], is_end=found[3] is not None)

    def __str__(self) -> str:
        return f"{self.event}_{self.point}{'_end' if self.is_end else ''}"


_BEHIND_ALL: Final = f"{10**19 - 1}-0"
#: Before every event and after every point: for whoever wants the events alone.
EVENTS_ALONE: Final = Position(point=_BEHIND_ALL)
#: After every event and before every point: for whoever wants the points alone.
POINTS_ALONE: Final = Position(event=_BEHIND_ALL)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened to a job."""

    id: str
    name: str
    """A state it has come to, a wish with `_requested`, or "notice"."""
    at: datetime
    details: dict[str, Any]
    """In the order in which they were written; `notice` is an object."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a job's series."""

    id: str
    token: int
    """Of the run that reported it."""
    at: datetime
    values: dict[str, Any]
    """`step`, `epoch` where there are epochs, and each series by its name."""

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self.values["step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What comes after a position."""

    status: Status
    progress: str
    """JSON; empty where there is none."""
    after: Position
    events: list[Event]
    points: list[Point]
    is_packed: bool
    is_whole: bool
    """Whether nothing of it is in the job's record alone."""

    @property
    def end(self) -> Position:
        """Behind its last event and its last point."""
        return Position(
            self.events[-1].id if self.events else self.after.event,
            self.points[-1].id if self.points else self.after.point,
        )

    @property
    def is_end(self) -> bool:
        """Whether nothing comes after the position, and nothing will."""
        return self.status.terminal and not (self.events or self.points)

    @property
    def done(self) -> "History":
        """What comes after it where nothing does."""
        return replace(self, after=self.end, events=[], points=[])

    def completed(self, record: Record | None) -> "History":
        """With what the job's record has beside it."""
        if record is None:
            return self
        events = {event.id: event for event in [*_events(record.events, self.after), *self.events]}
        points = {point.id: point for point in [*_points(record.points, self.after), *self.points]}
        return replace(
            self,
            events=[events[entry_id] for entry_id in sorted(events, key=_order)],
            points=[points[entry_id] for entry_id in sorted(points, key=_order)],
            is_whole=True,
        )

    def in_order(self) -> Iterator[tuple[Event | Point, Position]]:
        """Each entry as it came, with the position behind it."""
        position = self.after
        for entry in heapq.merge(self.events, self.points, key=_moment):
            if isinstance(entry, Event):
                position = Position(entry.id, position.point)
            else:
                position = Position(position.event, entry.id)
            yield entry, position


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run of a job, past or present."""

    token: int
    attempt: int
    began: bool
    """Whether an engine was started for it."""
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Those of a job."""

    status: Status
    runs: Sequence[PastRun]
    """The latest last."""

    def latest(self, which: "Which") -> PastRun | None:
        """The latest of those that are meant; one that was put back shares its attempt with the next."""
        found = [run for run in self.runs if which.attempt in {None, run.attempt} and which.run in {None, run.token}]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Which:
    """Which runs of a job are meant: all, those of an attempt, or one."""

    attempt: int | None = None
    run: int | None = None

    def __str__(self) -> str:
        return " and ".join(
            f"{name} {n}" for name, n in (("attempt", self.attempt), ("run", self.run)) if n is not None
        )


def get_runs(job_id: str, *, owner: str = "") -> Call[Runs]:
    """A job's runs.

    Args:
        job_id: which.
        owner: whose it must be; empty for anybody's.

    Raises:
        JobNotFound: no job of theirs has this id.
    """

    def read(answer: Answer) -> Runs:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        fields = shown_fields(answer[1])
        return Runs(status=Status(fields["status"]), runs=_runs(fields))

    return Call("get", (job_id, owner, ""), read)


def get_history(job_id: str, after: Position, *, most: int, owner: str = "") -> Call[History]:
    """What the ledger has of a job's history after a position.

    Args:
        job_id: which.
        after: the position.
        most: events at most, and points.
        owner: whose it must be; empty for anybody's.

    Raises:
        JobNotFound: no job has this id.
    """

    def read(answer: Answer) -> History:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        _, status, progress, first, events, points, recent = cast("tuple[Any, ...]", answer)
        is_packed = first == "packed"
        if is_packed:
            kept = unpack_recent(recent) if recent else Recent(events=[], points=[])
            is_whole = _reaches(kept.events, after.event) and _reaches(kept.points, after.point)
        else:
            kept = Recent(events=entries(events), points=entries(points))
            # of points alone it is not known how far they go back: to an earlier life perhaps, if there was one
            is_whole = first == "0-0" or (_order(first) <= _order(after.event) and after.event != _BEHIND_ALL)
        return History(
            status=Status(status),
            progress=progress,
            after=after,
            events=_events(kept.events, after),
            points=_points(kept.points, after),
            is_packed=is_packed,
            is_whole=is_whole,
        )

    return Call("history", (job_id, after.event, after.point, most, owner), read)


def that_count(points: Sequence[Point]) -> list[Point]:
    """The points of a series without those that a later run has taken back: it went on from a checkpoint before them,
    or from the start.
    """
    counting: list[Point] = []
    for point in points:
        while counting and counting[-1].token < point.token and counting[-1].step >= point.step:
            counting.pop()
        counting.append(point)
    return counting


def _events(found: Sequence[Entry], after: Position) -> list[Event]:
    return [_event(*entry) for entry in found if _order(entry[0]) > _order(after.event)]


def _event(entry_id: str, fields: dict[str, str]) -> Event:
    details: dict[str, Any] = {name: value for name, value in fields.items() if name not in {"event", "at_ms"}}
    if "notice" in details:
        details["notice"] = json.loads(details["notice"])
    if "token" in details:
        details["token"] = int(details["token"])
    return Event(entry_id, fields["event"], time_of(fields["at_ms"]), details)


def _points(found: Sequence[Entry], after: Position) -> list[Point]:
    return [_point(*entry) for entry in found if _order(entry[0]) > _order(after.point)]


def _point(entry_id: str, fields: dict[str, str]) -> Point:
    return Point(entry_id, _order(entry_id)[0], time_of(fields["at_ms"]), json.loads(fields["point"]))


def _reaches(kept: Sequence[Entry], position: str) -> bool:
    """Whether nothing is missing between a position and what is kept."""
    return bool(kept) and _order(kept[0][0]) <= _order(position)


def _order(entry_id: str) -> tuple[int, int]:
    first, second = entry_id.split("-")
    return int(first), int(second)


def _moment(entry: Event | Point) -> tuple[datetime, int]:
    """A run begins before its points, and ends after them."""
    if isinstance(entry, Point):
        return entry.at, 1
    return entry.at, 2 if "outcome" in entry.details else 0


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
