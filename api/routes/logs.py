"""The logs of a job."""

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import Field, ValidationInfo, field_validator

from api.deps import CallerDep, JobId, LedgerDep, SeesDep, SettingsDep, refuse_repeated_parameters
from api.errors import HistoryLost, LogMissing, ParametersInvalid, RateLimited, TooManyStreams
from api.following import UNBUFFERED, UNBUFFERED_HEADERS, StayDep, counted
from api.history import MOST, Follower
from api.job_logs import EngineLogs, event_lines, follow_events
from api.parameters import Parameters
from api.problems import problems
from ledger import JobNotFound, LedgerUnavailable
from ledger.history import EVENTS_ALONE, Which

router = APIRouter(tags=["jobs"], dependencies=[Depends(refuse_repeated_parameters)])

_TEXT: Final = "text/plain"
_LINES: Final = "application/x-ndjson"
_CONTENT: Final[dict[str, Any]] = {media_type: {"schema": {"type": "string"}} for media_type in (_TEXT, _LINES)}


class Wanted(Parameters):
    """Which log, and how much of it."""

    source: Literal["engine", "events"] = "engine"
    """`engine`: what the engine has printed. `events`: what has happened to the job, as JSON lines."""
    attempt: int | None = Field(default=None, ge=1)
    """Of which attempt (its latest run); by default the latest run of all. For `source=engine` only."""
    run: int | None = Field(default=None, ge=1)
    """Of which run, as the job's `attempts` number them: one that was paused or put back shares its attempt with the
    next. For `source=engine` only."""
    tail: int = Field(default=1000, ge=1, le=10_000)
    """How many lines, from the end."""
    follow: bool = False
    """Go on with what is written, until the job has come to its end. Between events there may be empty lines, which say
    only that the connection is alive."""

    @field_validator("attempt", "run")
    @classmethod
    def _of_an_engine(cls, number: int | None, info: ValidationInfo) -> int | None:
        if number is not None and info.data.get("source") == "events":
            raise ValueError(f"events are of the whole job; leave {info.field_name} out, or give source=engine")
        return number


async def _wanted(wanted: Annotated[Wanted, Query()]) -> Wanted:
    return wanted


WantedDep = Annotated[Wanted, Depends(_wanted)]


async def _counted(request: Request, caller: CallerDep, wanted: WantedDep) -> AsyncGenerator[None]:
    with counted(request, caller) if wanted.follow else nullcontext():
        yield


async def _follower(job_id: JobId, ledger: LedgerDep, settings: SettingsDep, sees: SeesDep, stay: StayDep) -> Follower:
    return Follower(ledger, settings.artifact_dir, job_id, owner=sees, stay=stay)


async def _logs(job_id: JobId, ledger: LedgerDep, settings: SettingsDep, sees: SeesDep, stay: StayDep) -> EngineLogs:
    return EngineLogs(ledger=ledger, root=settings.artifact_dir, job_id=job_id, owner=sees, stay=stay)


@router.get(
    "/jobs/{job_id}/logs",
    response_class=PlainTextResponse,
    dependencies=[Depends(_counted)],
    responses={
        200: {
            "description": "The lines; none where the job has not run yet",
            "content": _CONTENT,
            "headers": UNBUFFERED_HEADERS,
        },
        **problems(
            JobNotFound, LogMissing, HistoryLost, ParametersInvalid, RateLimited, TooManyStreams, LedgerUnavailable
        ),
    },
)
async def get_logs(
    wanted: WantedDep,
    logs: Annotated[EngineLogs, Depends(_logs)],
    follower: Annotated[Follower, Depends(_follower)],
) -> Response:
    """Read or follow what a job's engine prints, or what happens to the job.

    Following goes from run to run until the job has come to its end, or with `attempt` or `run` until that has; less
    when the server is told to stop, or the key or session is not good any more.
    """
    if wanted.source == "events":
        history = await follower.history(EVENTS_ALONE, most=MOST)
        history = replace(history, events=history.events[-wanted.tail :])
        if wanted.follow:
            return StreamingResponse(follow_events(follower, history), media_type=_LINES, headers=UNBUFFERED)
        return Response(event_lines(history.events), media_type=_LINES)
    log = await logs.of(Which(wanted.attempt, wanted.run), wanted.tail)
    if wanted.follow:
        return StreamingResponse(log.follow(), media_type=_TEXT, headers=UNBUFFERED)
    return PlainTextResponse(log.text)
