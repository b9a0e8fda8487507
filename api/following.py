"""Connections that follow a job: how many a key has at once, and how long each may go on."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Final

from fastapi import Depends, Request

from api.access import Caller, is_still_let_in
from api.deps import CallerDep
from api.errors import TooManyStreams
from api.problems import header
from api.settings import ApiSettings

#: What a stream says to proxies: it is to be passed on as it comes; and how the document declares that.
UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
UNBUFFERED_HEADERS: Final = {"X-Accel-Buffering": header("string", "`no` of a stream: pass it on as it comes.")}
#: How often a job that is followed is looked at, in case the message of a change was lost, in seconds.
LOOK_S: Final = 10.0


class Streams:
    """Counts the connections of each key that follow a job in this process.

    Args:
        most: how many a key may have at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Final[Counter[str]] = Counter()

    @contextmanager
    def counted(self, whose: str) -> Generator[None]:
        """One more, until the context ends.

        Raises:
            TooManyStreams: it is one too many.
        """
        if self._open[whose] >= self._most:
            raise TooManyStreams(self._most)
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]


class Stay:
    """Whether a connection may go on: not once the process is told to stop, nor once its key or session is not good any
    more.

    Args:
        request: that has opened it; its app's settings say how often its key or session is looked at again.
    """

    def __init__(self, request: Request) -> None:
        settings: ApiSettings = request.app.state.settings
        self.look_s: Final = settings.ping_s
        self.stopping: Final[asyncio.Event] = request.app.state.stopping
        self._request = request
        self._look_at = time.monotonic() + self.look_s

    async def lasts(self) -> bool:
        """Whether it does, as far as was seen at the last look; looks again when it is time to."""
        if self.stopping.is_set():
            return False
        if time.monotonic() < self._look_at:
            return True
        self._look_at = time.monotonic() + self.look_s
        return await is_still_let_in(self._request)


async def _stay(request: Request) -> Stay:
    return Stay(request)


StayDep = Annotated[Stay, Depends(_stay)]


def counted(request: Request, caller: Caller) -> AbstractContextManager[None]:
    """The request's connection counts while the context is open.

    Raises:
        TooManyStreams: its key has as many as it may; where there are no keys, its address.
    """
    streams: Streams = request.app.state.streams
    return streams.counted(caller.key_id or (request.client.host if request.client else ""))


async def count_stream(request: Request, caller: CallerDep) -> AsyncGenerator[None]:
    """For routes that follow: the connection counts until it has ended, however it does."""
    with counted(request, caller):
        yield


async def first_of(*events: asyncio.Event, within_s: float) -> None:
    """Wait until one of them is set, or for so long."""
    if within_s <= 0:
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
