"""Jobs: submit, read, list, pause, resume, cancel, retry."""

from typing import Annotated, Final
from urllib.parse import urlencode

import uuid_utils
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, field_validator

from api.deps import (
    ID_PATTERN,
    IdempotencyDep,
    JobId,
    LedgerDep,
    SeesDep,
    SpecBody,
    WhoDep,
    refuse_parameters,
    refuse_repeated_parameters,
)
from api.errors import BodyMalformed, BodyTooLarge, ContentTypeUnsupported, ParametersInvalid, RateLimited
from api.openapi import json_body
from api.parameters import Parameters
from api.problems import header, problems
from ledger import (
    CheckpointMissing,
    EventRefused,
    IdempotencyKeyReused,
    JobGone,
    JobNotFound,
    LedgerUnavailable,
    QuotaReached,
    reads,
    transitions,
)
from lowland.errors import SpecInvalid
from lowland.spec import Event, JobSpec, Status
from lowland.spec.resource import Job, JobPage

router = APIRouter(tags=["jobs"])

_NO_PARAMETERS: Final = Depends(refuse_parameters)
#: Says that an earlier request has made what is answered.
_REPLAYED_HEADER: Final = "Idempotent-Replayed"
_EXAMPLES: Final = {
    "shortest": {"dataset": "digits"},
    "usual": {"dataset": "kmnist", "model": "resnet9", "sam": {"variant": "sam", "rho": 0.1}, "epochs": 5},
    "function": {"function": "rosenbrock", "start": [-1.2, 1.0], "steps": 500},
}


class Listing(Parameters):
    """Which jobs to list."""

    limit: int = Field(default=50, ge=1, le=200)
    """Jobs a page."""
    cursor: str | None = None
    """The `next` of the page before."""
    status: Status | None = None
    """Only jobs in this state."""

    @field_validator("cursor")
    @classmethod
    def _is_an_id(cls, cursor: str | None) -> str | None:
        if cursor is not None and not ID_PATTERN.fullmatch(cursor):
            raise ValueError("this is no cursor; give the `next` of the page before")
        return cursor

    def link_to(self, cursor: str) -> str:
        """The Link header for the page that starts at the cursor."""
        following = self.model_copy(update={"cursor": cursor}).model_dump(mode="json", exclude_none=True)
        return f'</jobs?{urlencode(following)}>; rel="next"'


class Retrying(Parameters):
    """How to retry."""

    from_checkpoint: bool = False
    """Go on from its latest checkpoint; else start over."""


@router.post(
    "/jobs",
    status_code=201,
    dependencies=[_NO_PARAMETERS],
    openapi_extra=json_body(JobSpec, _EXAMPLES),
    responses={
        201: {
            "headers": {
                "Location": header("string", "Where the job is found."),
                _REPLAYED_HEADER: header("boolean", "`true` where an earlier POST under this key has made the job."),
            }
        },
        **problems(
            BodyMalformed,
            BodyTooLarge,
            ContentTypeUnsupported,
            SpecInvalid,
            ParametersInvalid,
            IdempotencyKeyReused,
            JobGone,
            RateLimited,
            QuotaReached,
            LedgerUnavailable,
        ),
    },
)
async def submit_job(
    spec: SpecBody, idempotency: IdempotencyDep, ledger: LedgerDep, caller: WhoDep, response: Response
) -> Job:
    """Queue a training job. Answers the job with every default filled in.

    To be sure of one job where an answer may get lost, give an Idempotency-Key and send the same again.
    """
    job_id = str(uuid_utils.uuid7())
    call = transitions.submit(job_id, spec, owner=caller.owner, idempotency=idempotency, quota=caller.quota)
    job = await ledger.run(call)
    response.headers["Location"] = job.links.self
    if job.id != job_id:
        response.headers[_REPLAYED_HEADER] = "true"
    return job


@router.get(
    "/jobs",
    dependencies=[Depends(refuse_repeated_parameters)],
    responses={
        200: {"headers": {"Link": header("string", 'The next page, as rel="next"; absent on the last.')}},
        **problems(ParametersInvalid, LedgerUnavailable),
    },
)
async def list_jobs(
    listing: Annotated[Listing, Query()], ledger: LedgerDep, sees: SeesDep, response: Response
) -> JobPage:
    """List your jobs, or as an admin everybody's, newest first, page by page."""
    call = reads.list_jobs(limit=listing.limit, cursor=listing.cursor, status=listing.status, owner=sees)
    page = await ledger.run(call)
    if page.next is not None:
        response.headers["Link"] = listing.link_to(page.next)
    return page


@router.get(
    "/jobs/{job_id}",
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, ParametersInvalid, LedgerUnavailable),
)
async def get_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Read a job as it stands."""
    return await ledger.run(reads.get_job(job_id, owner=sees))


@router.post(
    "/jobs/{job_id}/cancel",
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def cancel_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Cancel a job: at once while it waits, soon while it runs. Cancelling again changes nothing."""
    return await ledger.run(transitions.ask(job_id, Event.CANCEL, owner=sees))


@router.post(
    "/jobs/{job_id}/pause",
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def pause_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Pause a job: at once while it waits; while it runs, once it has written a checkpoint and freed its devices.

    Pausing again changes nothing.
    """
    return await ledger.run(transitions.ask(job_id, Event.PAUSE, owner=sees))


@router.post(
    "/jobs/{job_id}/resume",
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def resume_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Queue a paused job again, to go on from its checkpoint, or take back the wish to pause it.

    Nothing changes where it waits or runs already.
    """
    return await ledger.run(transitions.ask(job_id, Event.RESUME, owner=sees))


@router.post(
    "/jobs/{job_id}/retry",
    dependencies=[Depends(refuse_repeated_parameters)],
    responses=problems(
        JobNotFound, EventRefused, CheckpointMissing, RateLimited, QuotaReached, ParametersInvalid, LedgerUnavailable
    ),
)
async def retry_job(job_id: JobId, wanted: Annotated[Retrying, Query()], ledger: LedgerDep, caller: WhoDep) -> Job:
    """Queue a job again that failed or was cancelled, with as many attempts as it had at first.

    Nothing changes where it waits or runs already.
    """
    from_checkpoint = wanted.from_checkpoint
    call = transitions.retry(job_id, from_checkpoint=from_checkpoint, owner=caller.sees, quota=caller.quota)
    return await ledger.run(call)
