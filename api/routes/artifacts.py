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


@router.get(
    "/jobs/{job_id}/artifacts/{name}",
    response_class=ArtifactResponse,
    responses={
        200: {"description": "The file", "headers": {"ETag": header("string", "Its sha256, in quotes.")}, **_BYTES},
        206: {"description": "The range that was asked for", **_BYTES},
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
