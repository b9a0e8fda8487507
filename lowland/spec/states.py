"""The states of a job and the events that move it: the one table that Lua, the documents and Python read.

docs/reference/states.md draws it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing will happen to the job by itself any more."""
        return self in TERMINAL


class Event(StrEnum):
    """What moves a job from one state to another."""

    CLAIM = "claim"
    PUT_BACK = "put_back"
    SUCCEED = "succeed"
    FAIL = "fail"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CANCEL = "cancel"


Wish = Literal["pause", "cancel"]
"""What may be asked of a running job: its worker fulfils it once the engine has stopped."""

Outcome = Literal["succeeded", "failed", "cancelled", "paused", "put_back", "lost"]
"""How a run ends: put back by a worker that shut down, lost with its engine, runner or worker."""

StopReason = Literal["target", "patience", "max_seconds"]
"""Which rule of `stop` ended a run that succeeded before its last epoch."""

TERMINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

TRANSITIONS: Final[Mapping[Event, Mapping[Status, Status]]] = {
    Event.CLAIM: {Status.QUEUED: Status.RUNNING},
    Event.PUT_BACK: {Status.RUNNING: Status.QUEUED},
    Event.SUCCEED: {Status.RUNNING: Status.SUCCEEDED},
    Event.FAIL: {Status.RUNNING: Status.FAILED},
    Event.PAUSE: {Status.QUEUED: Status.PAUSED, Status.RUNNING: Status.PAUSED},
    Event.RESUME: {Status.PAUSED: Status.QUEUED},
    Event.RETRY: {Status.FAILED: Status.QUEUED, Status.CANCELLED: Status.QUEUED},
    Event.CANCEL: {
        Status.QUEUED: Status.CANCELLED,
        Status.PAUSED: Status.CANCELLED,
        Status.RUNNING: Status.CANCELLED,
    },
}

#: Where an event that people ask for has nothing left to do: asking again is no mistake and changes nothing.
FULFILLED: Final[Mapping[Event, frozenset[Status]]] = {
    Event.PAUSE: frozenset({Status.PAUSED}),
    Event.RESUME: frozenset({Status.QUEUED, Status.RUNNING}),
    Event.RETRY: frozenset({Status.QUEUED, Status.RUNNING}),
    Event.CANCEL: frozenset({Status.CANCELLED}),
}
