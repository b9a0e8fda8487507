"""Calls that are made at once go to the server together, and each gets its own answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import redis

from ledger import AsyncLedger, Call, JobNotFound, Keys, LedgerUnavailable, reads, transitions
from lowland.spec.resource import Job
from tests.api.servers import redis_server
from tests.conftest import free_port
from tests.ledger.playing import SPEC_JOB

CALLS = 100


@asynccontextmanager
async def opened(url: str, keys: Keys) -> AsyncIterator[AsyncLedger]:
    ledger = AsyncLedger(url, keys)
    try:
        yield ledger
    finally:
        await ledger.close()


def submit(number: int) -> Call[Job]:
    return transitions.submit(f"job-{number}", SPEC_JOB, owner="ada")


def test_calls_made_at_once_are_read_by_the_server_in_a_few_pieces(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        async with opened(redis_url, keys) as ledger:
            await ledger.run(submit(0))
            with redis.Redis.from_url(redis_url) as bare:
                before = bare.info("stats")["total_reads_processed"]
                await asyncio.gather(*(ledger.run(reads.get_job("job-0")) for _ in range(CALLS)))
                reads_done = bare.info("stats")["total_reads_processed"] - before
        assert reads_done < CALLS / 4

    anyio.run(play)


def test_each_gets_its_own_answer_or_error(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        async with opened(redis_url, keys) as ledger:
            await asyncio.gather(*(ledger.run(submit(number)) for number in range(CALLS)))
            broken = Call("get", (), lambda answer: answer)
            calls = [reads.get_job("job-7"), reads.get_job("job-none"), broken, reads.get_job("job-8")]
            answers = await asyncio.gather(*map(ledger.run, calls), return_exceptions=True)
        assert [answer.id if isinstance(answer, Job) else type(answer) for answer in answers] == [
            "job-7",
            JobNotFound,
            redis.ResponseError,
            "job-8",
        ]

    anyio.run(play)


def test_who_stops_waiting_takes_nothing_from_the_others(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        async with opened(redis_url, keys) as ledger:
            await ledger.run(submit(0))
            tasks = [asyncio.create_task(ledger.run(reads.get_job("job-0"))) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers] == [asyncio.CancelledError, Job] * 5

    anyio.run(play)


def test_a_server_that_has_forgotten_the_scripts_is_told_them(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        async with opened(redis_url, keys) as ledger:
            await ledger.run(submit(0))
            with redis.Redis.from_url(redis_url) as bare:
                bare.script_flush()
            calls = [submit(1), reads.get_job("job-0"), submit(2)]
            made = await asyncio.gather(*map(ledger.run, calls))
        assert [job.id for job in made] == ["job-1", "job-0", "job-2"]

    anyio.run(play)


def test_where_no_server_answers_everybody_is_told(keys: Keys) -> None:
    async def play() -> None:
        async with opened(f"redis://127.0.0.1:{free_port()}/0", keys) as ledger:
            answers = await asyncio.gather(*(ledger.run(submit(n)) for n in range(10)), return_exceptions=True)
        assert all(isinstance(answer, LedgerUnavailable) for answer in answers)

    anyio.run(play)


def test_a_server_that_comes_back_is_found_again(keys: Keys) -> None:
    async def play() -> None:
        port = free_port()
        async with opened(f"redis://127.0.0.1:{port}/0", keys) as ledger:
            with redis_server(port):
                await ledger.run(submit(0))
            with pytest.raises(LedgerUnavailable):
                await ledger.run(reads.get_job("job-0"))
            with redis_server(port):
                made = await asyncio.gather(*(ledger.run(submit(number)) for number in range(10)))
        assert len({job.id for job in made}) == 10

    anyio.run(play)
