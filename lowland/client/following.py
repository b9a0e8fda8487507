"""What happens to a job, as it happens: the way of a stream of events over connections that break."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import httpx2

from lowland.client import calls
from lowland.client.answers import read
from lowland.client.calls import Call
from lowland.client.flows import Pause, Tries
from lowland.errors import AnswerUnreadable, LimitReached, ServerUnavailable
from lowland.spec.resource import Job

#: The name of the last event.
END: Final = "end"
#: A stream that was open for so long, in seconds, was no vain try, though nothing happened meanwhile.
_OPEN_S: Final = 1.0
_NOTHING_MORE: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that has happened to a job."""

    name: str
    """`queued`, `running` and the other states, `cancel_requested` and the like, `notice`, `point` (of the series),
    `progress`, and `end` as the last; others of newer servers."""
    id: str | None
    """Where to go on from, as `after`; None of `progress`, which is never told twice."""
    at: datetime | None
    """When it happened; None of `progress` and `end`."""
    data: Mapping[str, Any]
    """What the server says of it."""
    job: Job | None
    """The job as it ended, with `end`."""


class Following:
    """The state of following a job: which events were received, and when to try again.

    Args:
        job: which.
        after: the id of the last event that is known; None begins with the first.
        within_s: how long to go on trying when the stream breaks and cannot be opened again.
    """

    def __init__(self, job: Job | str, *, after: str | None, url: str, within_s: float) -> None:
        self._job = job
        self._after = after
        self._url = url
        self._tries = Tries(within_s)
        self._opened_at: float | None = None
        self.ended = False
        """Whether all was received."""

    def call(self) -> Call[None]:
        """Opens the stream, where it broke off."""
        return calls.events(self._job, after=self._after)

    def opened(self, response: httpx2.Response) -> httpx2.EventSource | None:
        """The stream; None where nothing is to come.

        Raises:
            AnswerUnreadable: it is no stream.
        """
        if response.status_code == _NOTHING_MORE:
            self.ended = True
            return None
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        if media_type != "text/event-stream":
            raise AnswerUnreadable(self._url, f"it sends {media_type or 'no type'} where events are asked for")
        self._opened_at = time.monotonic()
        return httpx2.EventSource(response)

    def received(self, message: httpx2.ServerSentEvent) -> JobEvent | None:
        """A message as an event; None of one that says nothing.

        Raises:
            AnswerUnreadable: it is none of ours.
        """
        if not message.data:
            return None  # how long to pause, say
        self._tries.succeeded()
        try:
            data: object = json.loads(message.data)
            if not isinstance(data, dict):
                raise ValueError("its data is no object")
            event = self._event(message, cast("dict[str, Any]", data))
        except ValueError as error:
            raise AnswerUnreadable(self._url, f"event {message.event}: {error}") from error
        self._after = message.id or self._after
        self.ended = event.name == END
        return event

    def pause_after(self, error: ServerUnavailable | LimitReached | None) -> Pause:
        """How long to wait before opening it again; without an error the server has ended it.

        Raises:
            ServerUnavailable, LimitReached: it has taken too long already.
        """
        if self._opened_at is not None and time.monotonic() - self._opened_at > _OPEN_S:
            self._tries.succeeded()
        self._opened_at = None
        return self._tries.pause_after(error or ServerUnavailable(self._url, "the stream ended before the job did"))

    def _event(self, message: httpx2.ServerSentEvent, data: Mapping[str, Any]) -> JobEvent:
        is_end = message.event == END
        # an id counts on for messages without one of their own
        is_own = message.id and message.id != self._after
        return JobEvent(
            name=message.event,
            id=message.id if is_own else None,
            at=None if is_end else _moment(data.get("at")),
            data=data,
            job=read(Job, message.data.encode()) if is_end else None,
        )


def _moment(at: object) -> datetime | None:
    return datetime.fromisoformat(at) if isinstance(at, str) else None
