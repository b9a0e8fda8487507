"""Around every request: an id in and out, its measurements, its line in the log.

    Observed ──► Starlette's own 500 ──► CORS ──► problems ──► routes

It stands outside of everything, so that the answer to an unexpected error has an id and is counted too. Plain ASGI:
Starlette's BaseHTTPMiddleware costs a task and a stream for each request.
"""

import logging
import re
import time
from collections.abc import MutableMapping
from typing import Any, Final

import uuid_utils
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import HttpMetrics
from ledger.logs import begin_request

log: Final = logging.getLogger(__name__)

#: Comes in and goes out.
REQUEST_ID_HEADER: Final = "X-Request-Id"
_NAME: Final = REQUEST_ID_HEADER.lower().encode()
#: Whoever sends something else gets an id of ours: it is written to logs, and others parse those.
_PATTERN: Final = re.compile(rb"[\x21\x23-\x26\x28-\x7e]{1,128}")
#: Asked every few seconds by machines; worth a line only to who looks for it.
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: What stands for the route where none has the path: never the path, of which there are any number.
NO_ROUTE: Final = "none"


def observe(app: FastAPI, metrics: HttpMetrics, *, access_log: bool) -> None:
    """Have every request of the app observed."""
    make = app.build_middleware_stack
    app.build_middleware_stack = lambda: Observed(make(), metrics, access_log=access_log)


def request_id_of(request: Request) -> str:
    """The id of a request, as the answer says it too."""
    return request.scope["state"]["request_id"]


class Observed:
    """The middleware.

    Args:
        app: what is inside.
        metrics: counts the answers.
        access_log: whether each request gets a line in the log.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, *, access_log: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or uuid_utils.uuid7().hex
        scope.setdefault("state", {})["request_id"] = request_id
        begin_request(request_id)
        began_at = time.perf_counter()
        status, answered_at = 500, began_at

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered_at
            if message["type"] == "http.response.start":
                status, answered_at = message["status"], time.perf_counter()
                message["headers"] = [*message["headers"], (_NAME, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            route = route_of(scope)
            self._metrics.count(scope["method"], route, status, answered_at - began_at)
            if self._access_log:
                _log(scope["method"], route, status, time.perf_counter() - began_at)


def _given_id(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == _NAME]
    return given[0].decode() if len(given) == 1 and _PATTERN.fullmatch(given[0]) else None


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The path of the route that took the request, with its blanks."""
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _log(method: str, route: str, status: int, seconds: float) -> None:
    level = logging.DEBUG if route in _PROBES else logging.INFO
    if log.isEnabledFor(level):
        said = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        log.log(level, "request", extra=said)
