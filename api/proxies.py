"""Behind a proxy: a path before ours (`LOWLAND_ROOT_PATH`), and pages of other origins (`LOWLAND_CORS_ORIGINS`).

Links in bodies (`links`, `href`) are paths from the API's root, the same to whoever reads them: clients put their base
URL before them. Headers (`Location`, `Link`) are resolved by HTTP libraries themselves, and so carry the prefix.
"""

from typing import Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.settings import ApiSettings

#: What pages of other origins may read beside the body.
_EXPOSED: Final = [
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "Repr-Digest",
    "Retry-After",
    "X-Request-Id",
]
#: How long a browser need not ask again, in seconds.
_PREFLIGHT_KEPT_S: Final = 600
#: Headers with paths of ours: what stands before the path.
_PATH_AFTER: Final = {b"location": b"", b"link": b"<"}


def stand_behind(app: FastAPI, settings: ApiSettings) -> None:
    """Let the app be reached as the settings say."""
    if settings.root_path:
        app.add_middleware(Prefixed, prefix=settings.root_path)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=_PREFLIGHT_KEPT_S,
        )


class Prefixed:
    """Tells the routes of the prefix, and puts it before the paths in headers.

    Args:
        app: what is inside.
        prefix: what the proxy has before our paths.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See a request through."""

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, self._with_prefix(name, value)) for name, value in message["headers"]]
            await send(message)

        # in place: what is outside looks at the route later
        scope["root_path"] = self._prefix.decode()
        await self._app(scope, receive, send_prefixed)

    def _with_prefix(self, name: bytes, value: bytes) -> bytes:
        before = _PATH_AFTER.get(name)
        if before is None or not value.startswith(before + b"/"):
            return value
        return before + self._prefix + value[len(before) :]
