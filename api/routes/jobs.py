"""Jobs: submit, read, pause, resume, cancel, retry, delete."""

import re
from typing import Annotated, Final
from urllib.request import parse_http_list

import uuid_utils
from fastapi import APIRouter, Depends, Query, Request, Response

from api.bodies import refuse_body
from api.deps import (
    IF_NONE_MATCH,
    CallerDep,
    JobId,
    LedgerDep,
    RequestId,
    SeesDep,
    refuse_parameters,
    refuse_repeated_parameters,
)
from api.dry_run import try_out
from api.errors import (
    BodyMalformed,
    BodyTooLarge,
    ContentTypeUnsupported,
    ParametersInvalid,
    RateLimited,
    TooManyStreams,
)
from api.openapi import header_parameters, json_body
from api.parameters import Parameters
from api.problems import header, problems
from api.submissions import SubmissionDep
from api.views import Views
from api.waiting import changed
from ledger import (
    CheckpointMissing,
    DeletionRefused,
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
from lowland.spec import Event, JobSpec
from lowland.spec.resource import CheckpointList, DryRun, Job

router = APIRouter(tags=["jobs"])

_NO_PARAMETERS: Final = Depends(refuse_parameters)
_NO_BODY: Final = Depends(refuse_body)
#: Says that an earlier request has made what is answered.
_REPLAYED_HEADER: Final = "Idempotent-Replayed"
#: The longest that an answer waits for a change, in seconds.
MAX_WAIT_S: Final = 60
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)(\d{1,6})\1\s*(;.*)?', re.ASCII | re.IGNORECASE)
_PREFER: Final = (
    "`wait=N`: answer once the job has changed, from what If-None-Match names or else from now on, or after N seconds, "
    f"{MAX_WAIT_S} at most (RFC 7240). What has ended is not waited for. "
    "Whoever waits follows the job, as with `/events`: so many at once may."
)
#: When it is worth asking again for a job that has not ended.
_RETRY_AFTER_S: Final = 1
_VIEW_HEADERS: Final = {
    "ETag": header("string", "Strong: changes with the body."),
    "Retry-After": header("integer", "Seconds after which to ask again; absent once the job has ended."),
    "Preference-Applied": header("string", "The `wait` that was heeded."),
}
_EXAMPLES: Final = {
    "shortest": {"dataset": "digits"},
    "usual": {"dataset": "kmnist", "model": "resnet9", "sam": {"variant": "sam", "rho": 0.1}, "epochs": 5},
    "function": {"function": "rosenbrock", "start": [-1.2, 1.0], "steps": 500},
}


class Submitting(Parameters):
    """What to do with a job spec."""

    dry_run: bool = False
    """Store nothing: say what the job would be, what is unusual about it, what it would take and how it would wait."""


class Retrying(Parameters):
    """How to retry."""

    from_checkpoint: bool = False
    """Go on from its latest checkpoint; else start over."""


@router.post(
    "/jobs",
    status_code=201,
    response_model=Job,
    dependencies=[Depends(refuse_repeated_parameters)],
    openapi_extra=json_body(JobSpec, _EXAMPLES),
    responses={
        200: {"model": DryRun, "description": "With `dry_run`: what would become of the job"},
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
    submission: SubmissionDep,
    wanted: Annotated[Submitting, Query()],
    ledger: LedgerDep,
    caller: CallerDep,
    request_id: RequestId,
    response: Response,
) -> Job | Response:
    """Queue a training job. Answers the job with every default filled in.

    Where no answer comes, or 503, the job may have been made or not. Give an Idempotency-Key to be able to send the
    same again and have one job. With `dry_run` nothing is stored, and the key is not used.
    """
    if wanted.dry_run:
        dry_run = await try_out(submission.spec, ledger, owner=caller.owner, sees=caller.sees)
        return Response(dry_run.model_dump_json(), media_type="application/json")
    job_id = str(uuid_utils.uuid7())
    call = transitions.submit(
        job_id,
        submission.spec,
        owner=caller.owner,
        idempotency=submission.idempotency,
        quota=caller.quota,
        request_id=request_id,
    )
    job = await ledger.run(call)
    response.headers["Location"] = job.links.self
    if job.id != job_id:
        response.headers[_REPLAYED_HEADER] = "true"
    return job


@router.get(
    "/jobs/{job_id}",
    response_model=Job,
    dependencies=[_NO_PARAMETERS],
    openapi_extra=header_parameters(if_none_match=IF_NONE_MATCH, prefer=_PREFER),
    responses={
        200: {"headers": _VIEW_HEADERS},
        304: {"description": "It is as the ETag in If-None-Match says", "headers": _VIEW_HEADERS},
        **problems(JobNotFound, ParametersInvalid, RateLimited, TooManyStreams, LedgerUnavailable),
    },
)
async def get_job(request: Request, job_id: JobId) -> Response:
    """Read a job as it stands, or wait until it has changed."""
    # nothing is asked more often, and each parameter and dependency takes FastAPI 5 to 15 of some 200 µs
    if_none_match, prefer = request.headers.get("if-none-match"), request.headers.get("prefer")
    views: Views = request.app.state.views
    view = await views.of(job_id, owner=request.state.caller.sees)
    wait_s = _wait_s(prefer) if prefer else None
    if wait_s is not None and (if_none_match is None or view.matches(if_none_match)):
        view = await changed(request, job_id, view, within_s=min(wait_s, MAX_WAIT_S))
    headers = {"Cache-Control": "private, no-cache"}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    if not view.is_final:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    return view.answer(if_none_match, headers)


def _wait_s(prefer: str) -> int | None:
    found = (_WAIT.fullmatch(preference) for preference in parse_http_list(prefer))
    return next((int(wait[2]) for wait in found if wait), None)  # the first counts


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, DeletionRefused, ParametersInvalid, LedgerUnavailable),
)
async def delete_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> None:
    """Delete a job that has ended, for good: it is gone at once, its files within moments.

    A job that was to start from its weights and has not begun by then fails. What its webhook was not told yet it will
    not be told.
    """
    await ledger.run(transitions.delete(job_id, owner=sees))


@router.get(
    "/jobs/{job_id}/checkpoints",
    dependencies=[_NO_PARAMETERS],
    responses=problems(JobNotFound, ParametersInvalid, LedgerUnavailable),
)
async def list_checkpoints(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> CheckpointList:
    """List what a job can go on from, by resume, retry or by itself; the latest first."""
    return CheckpointList(checkpoints=await ledger.run(reads.get_checkpoints(job_id, owner=sees)))


@router.post(
    "/jobs/{job_id}/cancel",
    dependencies=[_NO_PARAMETERS, _NO_BODY],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def cancel_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Cancel a job: at once while it waits, soon while it runs. Cancelling again changes nothing."""
    return await ledger.run(transitions.ask(job_id, Event.CANCEL, owner=sees))


@router.post(
    "/jobs/{job_id}/pause",
    dependencies=[_NO_PARAMETERS, _NO_BODY],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def pause_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Pause a job: at once while it waits; while it runs, once it has written a checkpoint and freed its devices.

    Pausing again changes nothing.
    """
    return await ledger.run(transitions.ask(job_id, Event.PAUSE, owner=sees))


@router.post(
    "/jobs/{job_id}/resume",
    dependencies=[_NO_PARAMETERS, _NO_BODY],
    responses=problems(JobNotFound, EventRefused, ParametersInvalid, LedgerUnavailable),
)
async def resume_job(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> Job:
    """Queue a paused job again, to go on from its checkpoint, or take back the wish to pause it.

    Nothing changes where it waits or runs already.
    """
    return await ledger.run(transitions.ask(job_id, Event.RESUME, owner=sees))


@router.post(
    "/jobs/{job_id}/retry",
    dependencies=[Depends(refuse_repeated_parameters), _NO_BODY],
    responses=problems(
        JobNotFound, EventRefused, CheckpointMissing, RateLimited, QuotaReached, ParametersInvalid, LedgerUnavailable
    ),
)
async def retry_job(job_id: JobId, wanted: Annotated[Retrying, Query()], ledger: LedgerDep, caller: CallerDep) -> Job:
    """Queue a job again that failed or was cancelled, with as many attempts as it had at first.

    Nothing changes where it waits or runs already.
    """
    from_checkpoint = wanted.from_checkpoint
    call = transitions.retry(job_id, from_checkpoint=from_checkpoint, owner=caller.sees, quota=caller.quota)
    return await ledger.run(call)
