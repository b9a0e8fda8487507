"""What a ledger does with servers that are away, foreign, or have forgotten it."""

import anyio
import pytest
import redis

from ledger import AsyncLedger, JobNotFound, Keys, Ledger, LedgerUnavailable, LedgerUnusable, reads, transitions
from tests.conftest import free_port
from tests.ledger.playing import SPEC_JOB, job, submit


def test_an_absent_server_is_unavailable() -> None:
    with Ledger(f"redis://127.0.0.1:{free_port()}/0") as ledger, pytest.raises(LedgerUnavailable, match="Redis"):
        ledger.run(reads.overview())


def test_a_ledger_of_another_layout_is_refused(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    ledger.check()
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.key("schema"), "99")

    with pytest.raises(LedgerUnusable, match="layout 99"):
        ledger.check()


def test_a_server_that_refuses_what_a_ledger_needs_is_told_from_one_that_is_away(redis_url: str, keys: Keys) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">pass", "~*", "+ping")

    with (
        Ledger(redis_url.replace("redis://", "redis://weak:pass@"), keys) as ledger,
        pytest.raises(LedgerUnusable, match="permission"),
    ):
        ledger.check()


def test_scripts_are_loaded_again_when_the_server_forgot_them(ledger: Ledger, redis_url: str) -> None:
    job_id = submit(ledger)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()

    assert job(ledger, job_id).status == "queued"


def test_the_asyncio_ledger_runs_the_same_calls(redis_url: str, keys: Keys) -> None:
    async def play() -> None:
        ledger = AsyncLedger(redis_url, keys)
        await ledger.run(transitions.submit("job-1", SPEC_JOB, owner="ada"))
        assert (await ledger.run(reads.get_job("job-1"))).spec == SPEC_JOB
        with pytest.raises(JobNotFound):
            await ledger.run(reads.get_job("job-2"))
        await ledger.close()

    anyio.run(play)


def test_pages_lead_through_all_jobs_newest_first(ledger: Ledger) -> None:
    ids = [f"job-{number}" for number in range(5)]
    for job_id in ids:
        ledger.run(transitions.submit(job_id, SPEC_JOB, owner="ada"))

    seen: list[str] = []
    cursor = None
    while True:
        page = ledger.run(reads.list_jobs(limit=2, cursor=cursor))
        seen += [one.id for one in page.jobs]
        if page.next is None:
            break
        cursor = page.next

    assert seen == ids[::-1]
