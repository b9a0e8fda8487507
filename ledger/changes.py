"""Waking those who follow a job: the scripts send its id with each change.

A message is a hint and may get lost; whoever is woken, or has waited long enough, reads what is true. A server that is
gone without a word is noticed by a ping that it does not answer.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, cast

import redis
import redis.asyncio

log: Final = logging.getLogger(__name__)

#: The pause before listening again after the connection was lost.
PAUSE_S: Final = 0.5
#: How long the connection may be silent before a ping, in seconds, and how long after it.
SILENT_S: Final = 2.0


class Changes:
    """Listens for all followers of one process, over one connection.

    Args:
        client: to take the connection from.
        channel: that the scripts send to.
    """

    def __init__(self, client: redis.asyncio.Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._is_over = False

    @contextmanager
    def of(self, job_id: str) -> Generator[asyncio.Event]:
        """An event that is set each time the job may have changed; whoever waits for it clears it."""
        woken = asyncio.Event()
        self._followers[job_id].add(woken)
        try:
            yield woken
        finally:
            self._followers[job_id].discard(woken)
            if not self._followers[job_id]:
                del self._followers[job_id]

    def wake_all(self) -> None:
        """Have every follower look, and see whatever else has changed."""
        for job_id in self._followers:
            self._wake(job_id)

    @asynccontextmanager
    async def heard(self) -> AsyncGenerator[None]:
        """Listen while the context is open."""
        listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._is_over = True  # a task that is cancelled while it connects was seen to go on
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self) -> None:
        while not self._is_over:
            try:
                await self._pass_on()
            except (redis.RedisError, OSError) as error:
                log.warning("changes of jobs are not heard for a moment: %s", error)
            await asyncio.sleep(PAUSE_S)

    async def _pass_on(self) -> None:
        async with self._client.pubsub() as pubsub:  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed
            await pubsub.subscribe(self._channel)  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed
            self.wake_all()  # something may have been missed
            is_asked = False
            while not self._is_over:
                # to get_message an answer to a ping is nothing, as silence is, and redis-py's health checks miss none
                said = cast("list[str] | str | None", await pubsub.parse_response(block=False, timeout=SILENT_S))
                if said is not None:
                    is_asked = False
                    if said[0] == "message":
                        self._wake(said[2])
                elif is_asked:
                    raise redis.TimeoutError(f"no answer to a ping within {SILENT_S:g} s")
                else:
                    await pubsub.ping()  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed
                    is_asked = True

    def _wake(self, job_id: str) -> None:
        for woken in self._followers.get(job_id, ()):
            woken.set()
