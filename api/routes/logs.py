"""The logs of a job."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import Field, ValidationInfo, field_validator

from api.deps import JobId, LedgerDep, SeesDep, SettingsDep, refuse_repeated_parameters
from api.errors import LogMissing, ParametersInvalid
from api.job_logs import JobLogs, event_lines
from api.parameters import Parameters
from api.problems import UNBUFFERED_HEADERS, problems
from ledger import JobNotFound, LedgerUnavailable, reads

router = APIRouter(tags=["jobs"], dependencies=[Depends(refuse_repeated_parameters)])

_TEXT: Final = "text/plain"
_LINES: Final = "application/x-ndjson"
#: Of a stream: proxies are to pass it on as it comes.
_UNBUFFERED: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
_CONTENT: Final[dict[str, Any]] = {media_type: {"schema": {"type": "string"}} for media_type in (_TEXT, _LINES)}


class Wanted(Parameters):
    """Which log, and how much of it."""

    source: Literal["engine", "events"] = "engine"
    """`engine`: what the engine has printed. `events`: what has happened to the job, as JSON lines."""
    attempt: int | None = Field(default=None, ge=1)
    """Of which attempt (its latest run); by default the latest run of all. For `source=engine` only."""
    tail: int = Field(default=1000, ge=1, le=10_000)
    """How many lines, from the end."""
    follow: bool = False
    """Go on with what is written, until the job has come to its end."""

    @field_validator("attempt")
    @classmethod
    def _of_an_engine(cls, attempt: int | None, info: ValidationInfo) -> int | None:
        if attempt is not None and info.data.get("source") == "events":
            raise ValueError("events are of the whole job; leave attempt out, or give source=engine")
        return attempt


async def _logs(request: Request, job_id: JobId, ledger: LedgerDep, settings: SettingsDep, sees: SeesDep) -> JobLogs:
    await ledger.run(reads.get_job(job_id, owner=sees))  # whoever may read the job may read its logs
    return JobLogs(ledger=ledger, root=settings.artifact_dir, job_id=job_id, stopping=request.app.state.stopping)


@router.get(
    "/jobs/{job_id}/logs",
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "The lines; none where the job has not run yet",
            "content": _CONTENT,
            "headers": UNBUFFERED_HEADERS,
        },
        **problems(JobNotFound, LogMissing, ParametersInvalid, LedgerUnavailable),
    },
)
async def get_logs(wanted: Annotated[Wanted, Query()], logs: Annotated[JobLogs, Depends(_logs)]) -> Response:
    """Read or follow what a job's engine prints, or what happens to the job.

    Following goes from run to run until the job has come to its end, or with `attempt` until that has.
    """
    if wanted.source == "events":
        events = (await logs.events())[-wanted.tail :]
        if wanted.follow:
            return StreamingResponse(logs.follow_events(events), media_type=_LINES, headers=_UNBUFFERED)
        return Response(event_lines(events), media_type=_LINES)
    log = await logs.engine(wanted.attempt, wanted.tail)
    if wanted.follow:
        return StreamingResponse(log.follow(), media_type=_TEXT, headers=_UNBUFFERED)
    return PlainTextResponse(log.text)
