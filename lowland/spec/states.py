"""The states of a job and the events that move it: the one table that Lua, the documents and Python read.

    submit ──► queued ──claim──► running ──succeed──► succeeded
                 │ ▲               │ │ │
                 │ └──put_back─────┘ │ └────fail────► failed
                 └──────cancel───────┴────cancel────► cancelled

`paused` is a state of the contract that no event leads to yet.
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
        """Whether nothing will happen to the job any more."""
        return self in TERMINAL


class Event(StrEnum):
    """What moves a job from one state to another."""

    CLAIM = "claim"
    PUT_BACK = "put_back"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


Outcome = Literal["succeeded", "failed", "cancelled", "put_back", "lost"]
"""How a run ends: put back by a worker that shut down, lost with its engine, runner or worker."""

StopReason = Literal["target", "patience", "max_seconds"]
"""Which rule of `stop` ended a run that succeeded before its last epoch."""

TERMINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

TRANSITIONS: Final[Mapping[Event, Mapping[Status, Status]]] = {
    Event.CLAIM: {Status.QUEUED: Status.RUNNING},
    Event.PUT_BACK: {Status.RUNNING: Status.QUEUED},
    Event.SUCCEED: {Status.RUNNING: Status.SUCCEEDED},
    Event.FAIL: {Status.RUNNING: Status.FAILED},
    Event.CANCEL: {Status.QUEUED: Status.CANCELLED, Status.RUNNING: Status.CANCELLED},
}
