"""A job's history as server-sent events, from a position on, to its end.

    event: queued, running, ...   a state the job has come to, a wish (`cancel_requested`), a `notice`
    event: point                  a point of its series
    event: progress               how far it has come; without an id, for it is no part of the history
    event: end                    the job, which will not change any more; nothing follows

The id of each is the position behind it: whoever gives the last one that he has received misses nothing and gets
nothing twice. A stream that ends without `end` is to be opened again.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from fastapi.sse import format_sse_event

from api.history import Follower
from api.views import Views
from ledger import JobNotFound, LedgerUnavailable
from ledger.documents import as_text
from ledger.history import Event, History, Point, Position

#: When to come again after the connection was lost, in ms.
RETRY_MS: Final = 1000
_PING: Final = format_sse_event(comment="ping")
_AWAY: Final = format_sse_event(comment="the ledger is away")


async def messages(follower: Follower, history: History, views: Views) -> AsyncIterator[bytes]:
    """What has happened, what happens, and the job's end, as far as the follower reads on.

    Args:
        follower: of the job.
        history: what comes after the position that was given.
        views: show the job at its end.
    """
    yield format_sse_event(retry=RETRY_MS)
    progress = ""
    async for part in follower.parts(history):
        if part is None:
            yield _AWAY
            continue
        for entry, position in part.in_order():
            yield _message(entry, position)
        if part.progress not in {"", progress}:
            progress = part.progress
            yield format_sse_event(event="progress", data_str=progress)
        if part.is_end:
            with suppress(JobNotFound, LedgerUnavailable):  # whoever comes again learns what is so by then
                view = await views.of(follower.job_id, owner=follower.owner)
                if view.is_final:  # nobody has retried it since
                    end = replace(part.after, is_end=True)
                    yield format_sse_event(event="end", data_str=view.body.decode(), id=str(end))
        elif not (part.events or part.points):
            yield _PING


def _message(entry: Event | Point, position: Position) -> bytes:
    at = as_text(entry.at)
    if isinstance(entry, Point):
        name, data = "point", {"at": at, "token": entry.token, **entry.values}
    else:
        details = {**entry.details, **entry.details.get("notice", {})}
        name, data = entry.name, {"at": at, **{name: details[name] for name in details if name != "notice"}}
    return format_sse_event(event=name, data_str=json.dumps(data), id=str(position))
