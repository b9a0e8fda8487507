"""Errors as RFC 9457 problem documents: the one table from an exception's class to what a caller sees."""

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from api import errors
from api.requests import request_id_of
from ledger import (
    CheckpointMissing,
    DeletionRefused,
    EventRefused,
    IdempotencyKeyReused,
    JobGone,
    JobNotFound,
    LedgerUnavailable,
    LedgerUnusable,
    QuotaReached,
    WorkerNotFound,
)
from lowland.errors import FieldError, SpecInvalid
from lowland.spec import Status

MEDIA_TYPE: Final = "application/problem+json"
#: What a problem's slug is put behind to make its type.
TYPE_PREFIX: Final = "urn:lowland:problem:"
#: How long to wait before asking again while Redis is away, in seconds.
RETRY_AFTER_S: Final = 2
#: And while an owner has as many unfinished jobs as it may: nobody knows when one ends.
QUOTA_RETRY_AFTER_S: Final = 30
#: And while as many connections follow jobs as may.
STREAMS_RETRY_AFTER_S: Final = 10
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


class Problem(BaseModel):
    """What went wrong with a request (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """The kind of problem, a stable URN."""
    title: str
    """The kind in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened this time, and what would be accepted."""
    instance: str
    """The path that was asked for."""
    request_id: str
    """Of the request: the answer's `X-Request-Id`, and in the logs."""
    errors: list[FieldError] = []
    """One entry per mistake, where the problem is in what was sent."""
    job_status: Status | None = None
    """The job's state, where it does not allow what was asked."""
    allowed_from: list[Status] = []
    """The states that would allow it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem, as a caller sees it."""

    status: int
    slug: str
    title: str


KINDS: Final[Mapping[type[Exception], Kind]] = {
    SpecInvalid: Kind(422, "spec-invalid", "The job spec is invalid"),
    errors.KeyMissing: Kind(401, "key-missing", "An API key is needed"),
    errors.KeyRefused: Kind(401, "key-refused", "The API key is not known"),
    errors.ScopeMissing: Kind(403, "scope-missing", "The API key is not good for this"),
    errors.CrossSiteRefused: Kind(403, "cross-site-refused", "Another site may have sent this"),
    errors.RateLimited: Kind(429, "rate-limited", "The API key has been used too often"),
    errors.TooManyStreams: Kind(429, "too-many-streams", "Too many connections follow jobs"),
    QuotaReached: Kind(429, "quota-reached", "There are as many unfinished jobs as allowed"),
    errors.ParametersInvalid: Kind(422, "parameters-invalid", "A parameter is invalid"),
    errors.BodyMalformed: Kind(400, "body-malformed", "The body cannot be read"),
    ClientDisconnect: Kind(400, "body-incomplete", "The body did not arrive whole"),
    errors.BodyTooLarge: Kind(413, "body-too-large", "The body is too large"),
    errors.ContentTypeUnsupported: Kind(415, "content-type-unsupported", "The body is of another type"),
    errors.NothingHere: Kind(404, "nothing-here", "There is nothing at this path"),
    errors.MethodNotAllowed: Kind(405, "method-not-allowed", "The method is not possible here"),
    JobNotFound: Kind(404, "job-not-found", "There is no such job"),
    errors.ArtifactNotFound: Kind(404, "artifact-not-found", "There is no such artifact"),
    errors.ArtifactLost: Kind(404, "artifact-lost", "The artifact's file is missing"),
    errors.HistoryLost: Kind(404, "history-lost", "The job's record is missing"),
    errors.LogMissing: Kind(404, "log-missing", "There is no such log"),
    errors.RangeUnsatisfiable: Kind(416, "range-unsatisfiable", "The range is not in the file"),
    IdempotencyKeyReused: Kind(422, "idempotency-key-reused", "The idempotency key belongs to another body"),
    JobGone: Kind(410, "job-gone", "The job has been deleted"),
    EventRefused: Kind(409, "event-refused", "The job's state does not allow this"),
    DeletionRefused: Kind(409, "deletion-refused", "The job has not ended"),
    CheckpointMissing: Kind(409, "checkpoint-missing", "There is no checkpoint to go on from"),
    WorkerNotFound: Kind(404, "worker-not-found", "There is no such worker"),
    LedgerUnavailable: Kind(503, "ledger-unavailable", "The job ledger is away"),
    LedgerUnusable: Kind(503, "ledger-unusable", "The job ledger cannot be used"),
    Exception: Kind(500, "internal-error", "The server made a mistake"),
}


def problems(*classes: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """What a route declares about the errors it answers, for `responses=`."""
    kinds: dict[int, list[Kind]] = {}
    for kind in (KINDS[cls] for cls in classes):
        kinds.setdefault(kind.status, []).append(kind)
    declared: dict[int | str, dict[str, Any]] = {
        status: {
            "description": "; ".join(kind.title for kind in found),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in found},
                }
            },
        }
        for status, found in kinds.items()
    }
    for status in (429, 503):
        if status in declared:
            declared[status]["headers"] = {"Retry-After": header("integer", "Seconds after which to ask again.")}
    if 401 in declared:
        declared[401]["headers"] = {"WWW-Authenticate": header("string", "`Bearer`")}
    if 416 in declared:
        declared[416]["headers"] = {"Content-Range": header("string", "`bytes */N`: how many there are.")}
    return declared


def header(kind: str, description: str) -> dict[str, Any]:
    """How a response's header is declared."""
    return {"description": description, "schema": {"type": kind}}


def exception_handlers() -> dict[int | type[Exception], Handler]:
    """What the app is told to do with each class of error."""
    return {**dict.fromkeys(KINDS, _answer), HTTPException: _answer_http}


def problem_of(error: Exception, *, path: str, request_id: str) -> Problem:
    """What is answered where an error of these `KINDS` comes up."""
    kind = _kind(error)
    return Problem(
        type=TYPE_PREFIX + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=_detail(error, kind),
        instance=path,
        request_id=request_id,
        **_members(error),
    )


def _kind(error: Exception) -> Kind:
    return next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)


async def _answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error, path=_path(request), request_id=request_id_of(request))
    return _response(problem, _headers(error))


async def _answer_http(request: Request, error: HTTPException) -> Response:
    """Translate what the framework raises by itself."""
    path = _path(request)
    match error.status_code:
        case 404:
            return await _answer(request, errors.NothingHere(path))
        case 405:
            return await _answer(request, errors.MethodNotAllowed(request.method, path, _allowed(request)))
        case status:
            title = HTTPStatus(status).phrase
            blank = Problem(
                type="about:blank",
                title=title,
                status=status,
                detail=error.detail,
                instance=path,
                request_id=request_id_of(request),
            )
            return _response(blank, error.headers or {})


def _response(problem: Problem, headers: Mapping[str, str]) -> Response:
    text = json.dumps(problem.model_dump(exclude_unset=True), ensure_ascii=False, allow_nan=False)
    # a lone surrogate, quoted from a request, has no UTF-8; this writes it as JSON's own escape
    return Response(text.encode("utf-8", "backslashreplace"), problem.status, dict(headers), MEDIA_TYPE)


def _path(request: Request) -> str:
    return quote(request.scope["path"], safe="/:@!$&'()*+,;=")


def _detail(error: Exception, kind: Kind) -> str:
    match error:
        case SpecInvalid() | errors.ParametersInvalid():
            return _summary(error.errors)
        case ClientDisconnect():
            return "the connection ended before the body did"
        case _ if kind.status == 500:
            return "an unexpected error, which the server has logged"
        case _:
            return str(error)


def _summary(mistakes: Sequence[FieldError]) -> str:
    first = mistakes[0].detail
    return first if len(mistakes) == 1 else f"{first} (more mistakes are listed in errors)"


def _members(error: Exception) -> dict[str, Any]:
    match error:
        case SpecInvalid() | errors.ParametersInvalid():
            return {"errors": list(error.errors)}
        case EventRefused() | DeletionRefused():
            return {"job_status": error.status, "allowed_from": list(error.allowed_from)}
        case _:
            return {}


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case LedgerUnavailable() | LedgerUnusable():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case errors.KeyMissing():
            return {"WWW-Authenticate": "Bearer"}
        case errors.KeyRefused():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case errors.RateLimited():
            return {"Retry-After": str(error.retry_after_s)}
        case errors.TooManyStreams():
            return {"Retry-After": str(STREAMS_RETRY_AFTER_S)}
        case QuotaReached():
            return {"Retry-After": str(QUOTA_RETRY_AFTER_S)}
        case errors.RangeUnsatisfiable():
            return {"Content-Range": f"bytes */{error.size_bytes}"}
        case errors.MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case _:
            return {}


def _allowed(request: Request) -> list[str]:
    """Every method this path has a route for; the framework names only those of the first route."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    return [name for name, scope in scopes.items() if any(route.matches(scope)[0] == Match.FULL for route in routes)]
