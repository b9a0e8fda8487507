"""The audit: whatever was to change something is written down once it is answered, with who asked and how it went.

Written after the answer, so that nobody waits for it: what a process that is killed has just answered may be missing.
Requests of nobody known are left out, and those that other sites' pages sent or that were beyond a key's rate; else
anybody could push the others out of the stream, whose length is bounded. What a known key asks for within its rate is
written down however it went: who can fill the stream with refusals can fill it with jobs too.
"""

import logging
from typing import Final
from urllib.parse import unquote_plus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cross_site import READING
from api.problems import KINDS
from ledger import AsyncLedger, LedgerError, LedgerUnavailable, access

_LOG: Final = logging.getLogger(__name__)
#: What is about the jobs that fit its query, not about one that its path names.
_BY_QUERY: Final = "cancel_jobs"
#: How much is kept of the path or query that names what is changed.
_KEPT: Final = 128


class Audited:
    """An app whose changes are written down."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        status, location = 500, ""  # if no answer comes

        async def note(message: Message) -> None:
            nonlocal status, location
            if message["type"] == "http.response.start":
                status, location = message["status"], Headers(raw=message["headers"]).get("location", "")
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if "caller" in scope["state"]:
                await _write(scope, status, location)


async def _write(scope: Scope, status: int, location: str) -> None:
    """Who asked is what `admit` has left in the request's state."""
    state = scope["state"]
    if (
        status == KINDS[LedgerUnavailable].status
    ):  # nobody waits for it once more, a process that is to end least of all
        _log_loss(state["action"], status, "the ledger was away")
        return
    ledger: AsyncLedger = scope["app"].state.ledger
    call = access.audit(
        owner=state["caller"].owner,
        key_id=state["caller"].key_id,
        action=state["action"],
        subject=_subject(scope, location)[:_KEPT],
        status=status,
        request_id=state["request_id"],
    )
    try:
        await ledger.run(call)
    except LedgerError as error:
        _log_loss(state["action"], status, error)


def _subject(scope: Scope, location: str) -> str:
    if scope["state"]["action"] == _BY_QUERY:
        return unquote_plus(scope["query_string"].decode("latin-1"))
    return scope["state"]["subject"] or location.rpartition("/")[2]


def _log_loss(action: str, status: int, why: object) -> None:
    _LOG.warning("audit_lost action=%s status=%s: %s", action, status, why)
