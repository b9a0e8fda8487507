"""Following a job: its history as server-sent events, from a position on, to its end.

    event: queued, running, ...   a state the job has come to, a wish (`cancel_requested`), a `notice`
    event: point                  a point of its series
    event: progress               how far it has come; without an id, for it is no part of the history
    event: end                    the job, which will not change any more; nothing follows

The id of each is the position behind it: whoever gives the last one that he has received misses nothing and gets
nothing twice.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from fastapi.sse import format_sse_event

from api.history import history_after
from api.views import Views, first_of
from ledger import AsyncLedger, JobNotFound, LedgerUnavailable
from ledger.history import Event, History, Point, Position

#: How long nothing is sent at most; proxies close what is silent.
PING_S: Final = 15.0
#: The pause between two looks at a job that changes all the time.
PAUSE_S: Final = 0.2
#: When to come again after the connection was lost, in ms.
RETRY_MS: Final = 1000
#: How long a connection follows before it has to come again, and show its key again.
LONGEST_S: Final = 3600.0
#: The pause before looking again while Redis is away.
AWAY_S: Final = 1.0
#: Entries of each kind that are read at once.
_MOST: Final = 1000
_PING: Final = format_sse_event(comment="ping")
_AWAY: Final = format_sse_event(comment="the ledger is away")


class Follower:
    """One connection that follows a job."""

    def __init__(
        self, ledger: AsyncLedger, views: Views, root: Path, job_id: str, *, owner: str, stopping: asyncio.Event
    ) -> None:
        self._ledger = ledger
        self._views = views
        self._root = root
        self._job_id = job_id
        self._owner = owner
        self._stopping = stopping

    async def messages(self, history: History) -> AsyncIterator[bytes]:
        """What has happened, what happens, and the job's end; less when the process is told to stop.

        Args:
            history: what comes after the position that the follower has given.
        """
        yield format_sse_event(retry=RETRY_MS)
        loop = asyncio.get_running_loop()
        progress, look_again, looked_at = "", True, loop.time()
        ends_at = loop.time() + LONGEST_S
        with self._ledger.changes.of(self._job_id) as woken:
            while not self._stopping.is_set() and loop.time() < ends_at:
                after = history.after
                for entry, after in history.in_order():
                    yield _message(entry, after)
                if history.progress not in {"", progress}:
                    progress = history.progress
                    yield format_sse_event(event="progress", data_str=progress)
                has_news = bool(history.events or history.points)
                if history.status.terminal and not (has_news or look_again):
                    yield await self._end(after)
                    return
                has_more = max(len(history.events), len(history.points)) >= _MOST
                if not (look_again or has_more or (has_news and history.status.terminal)):
                    await first_of(woken, self._stopping, within_s=PING_S)
                    if not woken.is_set():
                        yield _PING
                    await first_of(self._stopping, within_s=looked_at + PAUSE_S - loop.time())
                look_again, looked_at = False, loop.time()
                woken.clear()
                try:
                    history = await self.history(after)
                except JobNotFound:  # it was deleted
                    return
                except LedgerUnavailable:
                    yield _AWAY
                    await first_of(self._stopping, within_s=AWAY_S)
                    history, look_again = replace(history, after=after, events=[], points=[]), True

    async def history(self, after: Position) -> History:
        """What has happened after a position."""
        return await history_after(self._ledger, self._root, self._job_id, after, owner=self._owner, most=_MOST)

    async def _end(self, after: Position) -> bytes:
        view = await self._views.of(self._job_id, owner=self._owner)
        return format_sse_event(event="end", data_str=view.body.decode(), id=str(replace(after, is_end=True)))


def _message(entry: Event | Point, position: Position) -> bytes:
    at = entry.at.isoformat().replace("+00:00", "Z")
    if isinstance(entry, Point):
        name, data = "point", {"at": at, "token": entry.token, **entry.values}
    else:
        name, data = entry.name, {"at": at, **entry.details}
    return format_sse_event(event=name, data_str=json.dumps(data), id=str(position))
