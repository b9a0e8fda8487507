"""The files a job has made."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path

from api.deps import JobId, LedgerDep, SeesDep, SettingsDep, refuse_parameters
from api.errors import ArtifactLost, ArtifactNotFound, ParametersInvalid, RangeUnsatisfiable
from api.files import ArtifactResponse, artifact_response
from api.problems import header, problems
from ledger import JobNotFound, LedgerUnavailable, reads

router = APIRouter(tags=["artifacts"], dependencies=[Depends(refuse_parameters)])

_BYTES: Final[dict[str, Any]] = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}

_HEADERS: Final[dict[str, Any]] = {
    "ETag": header("string", "Its sha256, in quotes."),
    "Last-Modified": header("string", "When it was written."),
    "Accept-Ranges": header("string", "`bytes`"),
    "Content-Disposition": header("string", "Its name, for browsers to save it under."),
    "X-Content-Type-Options": header("string", "`nosniff`"),
}
_CONTENT_RANGE: Final = {"Content-Range": header("string", "Which bytes, of how many.")}
_RANGE: Final[dict[str, Any]] = {
    "name": "Range",
    "in": "header",
    "description": "`bytes=0-99`: only these (RFC 9110).",
    "schema": {"type": "string"},
}


@router.get(
    "/jobs/{job_id}/artifacts/{name}",
    response_class=ArtifactResponse,
    openapi_extra={"parameters": [_RANGE]},
    responses={
        200: {"description": "The file", "headers": _HEADERS, **_BYTES},
        206: {"description": "The range that was asked for", "headers": _HEADERS | _CONTENT_RANGE, **_BYTES},
        **problems(
            JobNotFound, ArtifactNotFound, ArtifactLost, RangeUnsatisfiable, ParametersInvalid, LedgerUnavailable
        ),
    },
)
async def get_artifact(
    job_id: JobId,
    name: Annotated[str, Path(description="As the job's `artifacts` say.")],
    ledger: LedgerDep,
    settings: SettingsDep,
    sees: SeesDep,
) -> ArtifactResponse:
    """Download a file of a job, whole or in ranges."""
    stored = await ledger.run(reads.get_artifact(job_id, name, owner=sees))
    return await artifact_response(settings.artifact_dir, job_id, name, stored)
