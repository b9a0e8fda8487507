"""Views of jobs that are kept, and of more than are."""

import asyncio

import anyio
import pytest

import api.views
from api.views import Views
from ledger import AsyncLedger, Keys, Ledger, transitions
from lowland.spec import Event
from tests.ledger.playing import submit


def test_jobs_that_have_to_go_for_others_while_they_are_read_are_shown_all_the_same(
    ledger: Ledger, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.views, "KEPT", 1)
    ids = [submit(ledger) for _ in range(3)]
    for job_id in ids:
        ledger.run(transitions.ask(job_id, Event.CANCEL))

    async def play() -> list[str]:
        opened = AsyncLedger(redis_url, keys)
        views = Views(opened)
        await views.of(ids[0], owner="")
        # the first is asked for by its version, and gone from what is kept by the time of the answer
        seen = await asyncio.gather(*(views.of(job_id, owner="") for job_id in [*ids[1:], ids[0]]))
        await opened.close()
        return [view.body.decode() for view in seen]

    assert [job_id in body for job_id, body in zip([*ids[1:], ids[0]], anyio.run(play), strict=True)] == [True] * 3
