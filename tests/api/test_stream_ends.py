"""How a stream ends when something happens to the job, or to the ledger, just before its end is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from api import ApiSettings
from api.following import Stay
from api.history import Follower
from api.stream import messages
from api.views import Views
from ledger import AsyncLedger, Keys, Ledger, transitions
from ledger.history import Position
from ledger.packing import RECORD_FILE
from ledger.store import job_folder
from tests.api.events import sent
from tests.conftest import free_port
from tests.ledger.archiving import archive, finished, retry
from tests.ledger.playing import claimed, settle, submit


@asynccontextmanager
async def followed(app: FastAPI, settings: ApiSettings, job_id: str) -> AsyncIterator[Follower]:
    """A follower of a job, in the running app."""
    async with app.router.lifespan_context(app):
        stay = Stay(Request({"type": "http", "app": app}))
        yield Follower(app.state.ledger, settings.artifact_dir, job_id, owner="", stay=stay)


async def names(stream: AsyncIterator[bytes]) -> list[str]:
    """Of the events that it sends until it ends."""
    text = b"".join([message async for message in stream]).decode()
    return [event.name for event in sent(text.splitlines())]


def test_a_job_that_is_retried_before_its_end_is_told_has_none(
    app: FastAPI, settings: ApiSettings, ledger: Ledger
) -> None:
    job_id = finished(ledger, "failed")

    async def play() -> list[str]:
        async with followed(app, settings, job_id) as follower:
            behind = (await follower.history(Position())).end
            at_end = await follower.history(behind)
            assert at_end.is_end
            retry(ledger, job_id)
            return await names(messages(follower, at_end, app.state.views))

    assert "end" not in asyncio.run(play())


def test_a_job_that_is_deleted_before_its_end_is_told_has_none(
    app: FastAPI, settings: ApiSettings, ledger: Ledger
) -> None:
    job_id = finished(ledger, "failed")

    async def play() -> list[str]:
        async with followed(app, settings, job_id) as follower:
            at_end = await follower.history((await follower.history(Position())).end)
            ledger.run(transitions.delete(job_id))
            return await names(messages(follower, at_end, app.state.views))

    assert asyncio.run(play()) == []


def test_an_end_that_cannot_be_read_is_not_told(app: FastAPI, settings: ApiSettings, ledger: Ledger) -> None:
    job_id = finished(ledger, "failed")

    async def play() -> list[str]:
        async with followed(app, settings, job_id) as follower:
            at_end = await follower.history((await follower.history(Position())).end)
            away = AsyncLedger(f"redis://127.0.0.1:{free_port()}/0")
            return await names(messages(follower, at_end, Views(away)))

    assert asyncio.run(play()) == []


def test_a_stream_ends_where_the_record_is_lost(
    app: FastAPI, settings: ApiSettings, ledger: Ledger, keys: Keys
) -> None:
    job_id = submit(ledger)
    lease = claimed(ledger)

    async def play() -> list[str]:
        async with followed(app, settings, job_id) as follower:
            history = await follower.history(Position())
            settle(ledger, lease, "succeeded")
            archive(ledger, settings.artifact_dir, job_id)
            ledger._client.delete(keys.key("recent", job_id))
            (job_folder(settings.artifact_dir, job_id) / RECORD_FILE).unlink()
            return await names(messages(follower, history, app.state.views))

    assert asyncio.run(play()) == ["queued", "running"]


def test_the_record_is_read_once_for_all_that_has_happened(
    app: FastAPI, settings: ApiSettings, ledger: Ledger, keys: Keys
) -> None:
    job_id = finished(ledger, "succeeded")
    archive(ledger, settings.artifact_dir, job_id)
    ledger._client.delete(keys.key("recent", job_id))

    async def play() -> list[str]:
        async with followed(app, settings, job_id) as follower:
            history = await follower.history(Position())
            (job_folder(settings.artifact_dir, job_id) / RECORD_FILE).unlink()
            return await names(messages(follower, history, app.state.views))

    assert asyncio.run(play())[-2:] == ["succeeded", "end"]
