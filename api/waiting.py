"""Answers that wait for a job's change (`Prefer: wait`): connections that follow a job too, for a while."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request

from api.following import LOOK_S, Stay, counted, first_of
from api.views import View, Views
from ledger import AsyncLedger
from lowland.spec import Status

#: How often a job that waits is looked at while somebody waits for its change: its place in the queue changes unsaid.
LOOK_QUEUED_S: Final = 1.0


async def changed(request: Request, job_id: str, view: View, *, within_s: float) -> View:
    """The job once it is not this view any more, or as it is when the time is over; sooner where the caller has gone or
    may not stay.

    What is final is not waited for.

    Raises:
        JobNotFound: it was deleted meanwhile.
        TooManyStreams: the caller follows as many jobs as it may.
    """
    if view.is_final:
        return view
    ledger: AsyncLedger = request.app.state.ledger
    views: Views = request.app.state.views
    owner = request.state.caller.sees
    stay, loop = Stay(request), asyncio.get_running_loop()
    deadline, seen = loop.time() + within_s, view
    with counted(request, request.state.caller), ledger.changes.of(job_id) as woken:
        async with leaving(request) as gone:
            while not gone.is_set() and await stay.lasts():
                woken.clear()
                seen = await views.of(job_id, owner=owner)
                left_s = deadline - loop.time()
                if seen.etag != view.etag or left_s <= 0:
                    break
                look_s = LOOK_QUEUED_S if seen.status == Status.QUEUED else LOOK_S
                await first_of(woken, gone, stay.stopping, within_s=min(look_s, stay.look_s, left_s))
    return seen


@asynccontextmanager
async def leaving(request: Request) -> AsyncGenerator[asyncio.Event]:
    """An event that is set once the client has gone, while the context is open. Streams notice that by themselves."""
    gone = asyncio.Event()

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass  # a body, which is not wanted
        gone.set()

    listening = asyncio.create_task(listen())
    try:
        yield gone
    finally:
        listening.cancel()
