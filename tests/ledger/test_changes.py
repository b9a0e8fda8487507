"""Hearing of changes, over connections that fail."""

import asyncio
import uuid

from ledger import AsyncLedger, Keys, Ledger, changes, transitions
from tests.ledger.hole import Hole
from tests.ledger.playing import SPEC_JOB

#: Two looks without a message, the pause, and a new connection; not more than a follower waits for by itself.
HEARD_AGAIN_S = 2 * changes.SILENT_S + changes.PAUSE_S + 4


def test_changes_are_heard_again_after_the_server_is_gone_without_a_word(
    redis_url: str, keys: Keys, ledger: Ledger
) -> None:
    async def is_heard(hearing: AsyncLedger, within_s: float) -> bool:
        """Whether a job that is submitted now wakes whoever follows it."""
        job_id = str(uuid.uuid4())
        with hearing.changes.of(job_id) as woken:
            await asyncio.to_thread(ledger.run, transitions.submit(job_id, SPEC_JOB, owner="ada"))
            try:
                await asyncio.wait_for(woken.wait(), within_s)
            except TimeoutError:
                return False
        return True

    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with Hole.before(redis_url) as hole:
            hearing = AsyncLedger(hole.url, keys)
            async with asyncio.timeout(60), hearing.changes.heard():
                while not await is_heard(hearing, 0.2):
                    pass
                hole.swallow()
                assert not await is_heard(hearing, 0.2)

                swallowed_at = loop.time()
                while not await is_heard(hearing, 0.2):
                    assert loop.time() < swallowed_at + HEARD_AGAIN_S
            await hearing.close()

    asyncio.run(play())


def test_a_connection_on_which_nothing_changes_is_kept(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        async with Hole.before(redis_url) as hole:
            hearing = AsyncLedger(hole.url, keys)
            async with asyncio.timeout(60), hearing.changes.heard():
                await hole.sent(b"PING", times=3)
                assert hole.connections == 1
            await hearing.close()

    asyncio.run(play())
