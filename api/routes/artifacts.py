"""The files a job has made."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Response

from api.deps import IfNoneMatch, JobId, LedgerDep, SeesDep, SettingsDep, refuse_parameters
from api.errors import ArtifactLost, ArtifactNotFound, ParametersInvalid, RangeUnsatisfiable
from api.files import ArtifactResponse, artifact_response
from api.openapi import header_parameters
from api.problems import header, problems
from ledger import JobNotFound, LedgerUnavailable, reads
from lowland.spec.resource import ArtifactList

router = APIRouter(tags=["artifacts"], dependencies=[Depends(refuse_parameters)])

_FILE: Final = {"schema": {"type": "string", "format": "binary"}}
#: Of any type; generators of clients know none but one by name.
_BYTES: Final[dict[str, Any]] = {"content": {"application/octet-stream": _FILE, "*/*": _FILE}}
#: Also where the file itself is not sent.
_IDENTITY: Final = {
    "ETag": header("string", "Its sha256 in hexadecimal, in quotes."),
    "Repr-Digest": header("string", "`sha-256=:BASE64:` of the whole file, also beside a range of it (RFC 9530)."),
    "X-Content-Type-Options": header("string", "`nosniff`"),
}
_HEADERS: Final = {
    **_IDENTITY,
    "Last-Modified": header("string", "When it was written."),
    "Accept-Ranges": header("string", "`bytes`"),
    "Content-Disposition": header("string", "Its name, for browsers to save it under."),
}
_CONTENT_RANGE: Final = {"Content-Range": header("string", "Which bytes, of how many.")}
_WHOLE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file", "headers": _HEADERS, **_BYTES},
    304: {"description": "It is as the ETag in If-None-Match says", "headers": _IDENTITY},
}
Name = Annotated[str, Path(description="As the job's `artifacts` say.")]


@router.get(
    "/jobs/{job_id}/artifacts",
    responses=problems(JobNotFound, ParametersInvalid, LedgerUnavailable),
)
async def list_artifacts(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> ArtifactList:
    """List the files a job has made so far, by name."""
    job = await ledger.run(reads.get_job(job_id, owner=sees))
    return ArtifactList(artifacts=job.artifacts)


@router.get(
    "/jobs/{job_id}/artifacts/{name}",
    response_class=ArtifactResponse,
    openapi_extra=header_parameters(Range="`bytes=0-99`: only these (RFC 9110)."),
    responses={
        **_WHOLE,
        206: {"description": "The range that was asked for", "headers": _HEADERS | _CONTENT_RANGE, **_BYTES},
        **problems(
            JobNotFound, ArtifactNotFound, ArtifactLost, RangeUnsatisfiable, ParametersInvalid, LedgerUnavailable
        ),
    },
)
async def get_artifact(
    job_id: JobId,
    name: Name,
    ledger: LedgerDep,
    settings: SettingsDep,
    sees: SeesDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Download a file of a job, whole or in ranges."""
    stored = await ledger.run(reads.get_artifact(job_id, name, owner=sees))
    return await artifact_response(settings.artifact_dir, job_id, name, stored, if_none_match=if_none_match)


@router.head(
    "/jobs/{job_id}/artifacts/{name}",
    response_class=ArtifactResponse,
    responses={
        **_WHOLE,
        **problems(JobNotFound, ArtifactNotFound, ArtifactLost, ParametersInvalid, LedgerUnavailable),
    },
)
async def head_artifact(
    job_id: JobId,
    name: Name,
    ledger: LedgerDep,
    settings: SettingsDep,
    sees: SeesDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Learn a file's size, type and digest without downloading it."""
    return await get_artifact(job_id, name, ledger, settings, sees, if_none_match)
