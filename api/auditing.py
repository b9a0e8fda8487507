"""The audit: whatever was to change something is written down once it is answered, with who asked and how it went.

Written after the answer, so that nobody waits for it: what a process that is killed has just answered may be missing.
Requests of nobody known are left out, and those that other sites' pages sent or that were beyond a key's rate; else
anybody could push the others out of the stream, whose length is bounded. What a known key asks for within its rate is
written down however it went: who can fill the stream with refusals can fill it with jobs too.
"""

import logging
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger import AsyncLedger, LedgerError, access

_LOG: Final = logging.getLogger(__name__)
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: How much is kept of what a request says of itself.
_KEPT: Final = 128


class Audited:
    """An app whose changes are written down."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        answered: dict[str, str | int] = {"status": 500, "location": "", "request_id": ""}  # if no answer comes

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.get("headers", []))
                answered.update(status=message["status"], location=headers.get("location", ""))
                answered.update(request_id=headers.get("x-request-id", ""))
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if "caller" in scope["state"]:
                await _write(scope, answered)


async def _write(scope: Scope, answered: dict[str, str | int]) -> None:
    """Who asked is what `admit` has left in the request's state."""
    state = scope["state"]
    ledger: AsyncLedger = scope["app"].state.ledger
    request_id = str(answered["request_id"]) or Headers(scope=scope).get("x-request-id", "")
    call = access.audit(
        owner=state["caller"].owner,
        key_id=state["caller"].key_id,
        action=state["action"],
        subject=(state["subject"] or str(answered["location"]).rpartition("/")[2])[:_KEPT],
        status=int(answered["status"]),
        request_id=request_id[:_KEPT],
    )
    try:
        await ledger.run(call)
    except LedgerError as error:
        _LOG.warning("audit_lost action=%s status=%s: %s", state["action"], answered["status"], error)
