"""A browser's session: an API key traded for a cookie, since EventSource and images cannot send a header."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict

from api.access import GUARD_PROBLEMS, SESSION_COOKIE, Caller, WhoDep, admit
from api.bodies import read_json
from api.cross_site import csrf_token
from api.deps import LedgerDep, SettingsDep, refuse_parameters
from api.errors import (
    BodyMalformed,
    BodyTooLarge,
    ContentTypeUnsupported,
    KeyMissing,
    KeyRefused,
    ParametersInvalid,
    ScopeMissing,
)
from api.problems import header, problems
from ledger import access
from ledger.access import digest_of
from lowland.spec.access import Scope

router = APIRouter(tags=["access"], dependencies=[Depends(refuse_parameters)])

_REFUSALS: Final = (*(problem for problem in GUARD_PROBLEMS if problem is not ScopeMissing), ParametersInvalid)
_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"key": {"type": "string", "description": "An API key."}},
    "required": ["key"],
    "additionalProperties": False,
}


class Session(BaseModel):
    """Who you are here."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    owner: str
    """Whose your jobs are."""
    scopes: list[Scope]
    """What you may do."""
    csrf_token: str | None = None
    """What to send as `X-CSRF-Token` with each request that changes something; null where no cookie is known."""
    expires_at: datetime | None = None
    """When the session ends that was opened just now, which is when its key does if that is sooner; else null."""

    @classmethod
    def of(cls, caller: Caller, *, csrf: str | None, expires_at: datetime | None = None) -> "Session":
        """The session of a caller."""
        return cls(owner=caller.owner, scopes=sorted(caller.scopes), csrf_token=csrf, expires_at=expires_at)


_OPENED: Final = Session(
    owner="ada",
    scopes=[Scope.READ, Scope.SUBMIT],
    csrf_token=csrf_token("what the cookie holds"),
    expires_at=datetime(2026, 11, 2, 21, 30, tzinfo=UTC),
).model_dump(mode="json")


async def _shown_key(
    request: Request,
    settings: SettingsDep,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> str:
    if shown is not None:
        return shown.credentials
    if "content-type" not in request.headers:
        raise KeyMissing  # neither a header nor a body
    match await read_json(request, max_bytes=settings.max_body_bytes):
        case {"key": str(key), **others} if not others:
            return key
        case _:
            raise BodyMalformed('the body is no key; give {"key": "lowland_..."}')


@router.post(
    "/session",
    openapi_extra={
        "requestBody": {
            "description": "Not read where `Authorization` shows a key.",
            "content": {"application/json": {"schema": _BODY}},
        },
        "security": [{}],  # the body may have it
    },
    responses={
        200: {
            "headers": {"Set-Cookie": header("string", f"`{SESSION_COOKIE}`, for browsers; no script can read it.")},
            "content": {"application/json": {"example": _OPENED}},
        },
        **problems(*_REFUSALS, BodyMalformed, BodyTooLarge, ContentTypeUnsupported),
    },
)
async def open_session(
    request: Request, key: Annotated[str, Depends(_shown_key)], ledger: LedgerDep, response: Response
) -> Session:
    """Trade an API key, in the body or as `Authorization: Bearer`, for a cookie that is as good for 12 hours.

    The session ends before that when the key expires or is revoked.
    """
    caller = await admit(request, key=key, session=None)
    if not caller.key_id:  # where there are no keys this is none
        raise KeyRefused("API key", "is not known")
    session = secrets.token_urlsafe(32)
    expires_at, lasts = await ledger.run(access.open_session(digest_of(session), key=digest_of(key)))
    response.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=int(lasts.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    response.headers["Cache-Control"] = "no-store"
    return Session.of(caller, csrf=csrf_token(session), expires_at=expires_at)


@router.get("/session", responses=problems(*_REFUSALS))
async def get_session(request: Request, caller: WhoDep, response: Response) -> Session:
    """Say who you are here, and with which token a page of this server may change something."""
    response.headers["Cache-Control"] = "no-store"
    return Session.of(caller, csrf=csrf_token(request.cookies[SESSION_COOKIE]) if caller.by_session else None)


@router.delete(
    "/session",
    status_code=204,
    responses={
        204: {"headers": {"Set-Cookie": header("string", f"Takes `{SESSION_COOKIE}` away.")}},
        **problems(*_REFUSALS),
    },
)
async def close_session(request: Request, caller: WhoDep, ledger: LedgerDep, response: Response) -> None:
    """End the session of the cookie that is sent; other API processes believe in it for some seconds more."""
    if session := request.cookies.get(SESSION_COOKIE):
        await ledger.run(access.close_session(digest_of(session)))
        request.app.state.gate.forget(session)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
