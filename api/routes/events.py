"""Following a job as it goes on."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse
from pydantic import field_validator
from pydantic.json_schema import SkipJsonSchema

from api.deps import JobId, LedgerDep, SeesDep, SettingsDep, ViewsDep, refuse_repeated_parameters
from api.errors import HistoryLost, ParametersInvalid, RateLimited, TooManyStreams
from api.following import UNBUFFERED, UNBUFFERED_HEADERS, StayDep, count_stream
from api.history import Follower
from api.parameters import Parameters
from api.problems import problems
from api.stream import messages
from ledger import JobNotFound, LedgerUnavailable
from ledger.history import Position
from lowland.errors import FieldError
from lowland.spec.base import Unfit
from lowland.spec.show import public, shown

router = APIRouter(tags=["following"])

#: Before OpenAPI 3.2 there is no other place for what each event is.
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Each event.",
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "description": "What to come again with; absent from `progress`."},
    },
    "required": ["event", "data"],
}
_STREAM: Final[dict[str, Any]] = {
    "description": "Server-sent events: `queued`, `running` and the other states, `cancel_requested` and the like, "
    "`notice`, `point` (of the series), `progress`, and `end` with the job as the last",
    "content": {"text/event-stream": {"schema": _EVENT}},
    "headers": UNBUFFERED_HEADERS,
}

LastEventId = Annotated[str | SkipJsonSchema[None], Header(description="The id of the last event that was received.")]


class From(Parameters):
    """Where to begin."""

    after: str | None = None
    """The id of the last event that was received; for clients that cannot send Last-Event-ID, which goes before it."""

    @field_validator("after")
    @classmethod
    def _is_a_position(cls, after: str | None) -> str | None:
        if after is not None:
            Position.read(after)
        return after


@router.get(
    "/jobs/{job_id}/events",
    response_class=Response,
    dependencies=[Depends(refuse_repeated_parameters), Depends(count_stream)],
    responses={
        200: _STREAM,
        204: {"description": "The job has ended, and all of its events were received; there is no need to come again"},
        **problems(JobNotFound, HistoryLost, ParametersInvalid, RateLimited, TooManyStreams, LedgerUnavailable),
    },
)
async def follow_job(
    job_id: JobId,
    begin: Annotated[From, Query()],
    ledger: LedgerDep,
    views: ViewsDep,
    settings: SettingsDep,
    sees: SeesDep,
    stay: StayDep,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow a job to its end: all that has happened, or what came after an id, then what happens, as it does.

    Whoever comes again with the last id that he has received misses nothing and gets nothing twice. A stream that ends
    without `end` is to be opened again: the server is told to stop, the key or session is not good any more, or the
    job was retried or deleted just then, which the next answer says.
    """
    given = last_event_id or begin.after
    follower = Follower(ledger, settings.artifact_dir, job_id, owner=sees, stay=stay)
    after = _position(given) if given else Position()
    history = await follower.history(after)
    if after.is_end and history.is_end:
        return Response(status_code=204)
    return EventSourceResponse(messages(follower, history, views), headers=UNBUFFERED)


def _position(given: str) -> Position:
    try:
        return Position.read(given)
    except Unfit as error:
        detail = f"Last-Event-ID is {shown(given)}; {error}"
        raise ParametersInvalid([FieldError(field="Last-Event-ID", value=public(given), detail=detail)]) from error
