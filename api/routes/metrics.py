"""What was measured in the course of a job."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, field_validator

from api.deps import JobId, LedgerDep, SeesDep, SettingsDep, refuse_repeated_parameters
from api.errors import HistoryLost, ParametersInvalid
from api.history import history_after
from api.parameters import Parameters
from api.problems import problems
from api.series import as_csv, series_of
from ledger import JobNotFound, LedgerUnavailable
from ledger.history import ENTRY_ID, POINTS_ALONE, that_count
from lowland.spec.base import Unfit
from lowland.spec.resource import Series

router = APIRouter(tags=["metrics"])

_CSV: Final[dict[str, Any]] = {"content": {"text/csv": {"schema": {"type": "string"}}}}


class Chosen(Parameters):
    """Which points, and of which series."""

    since: str | None = None
    """Only what came after the point with this id."""
    names: str | None = None
    """Only these series, with commas."""
    max_points: int | None = Field(default=None, ge=1, le=10_000)
    """At most so many, evenly chosen, the first and the last among them."""
    superseded: bool = False
    """Also points that a later run has taken back, having gone on from a checkpoint before them or from the start."""
    format: Literal["json", "csv"] = "json"
    """CSV has the columns step, epoch, at, and one for each series."""

    @field_validator("since")
    @classmethod
    def _is_an_id(cls, since: str | None) -> str | None:
        if since is not None and not ENTRY_ID.fullmatch(since):
            raise Unfit("the `last` of an earlier answer")
        return since


@router.get(
    "/jobs/{job_id}/metrics",
    response_model=Series,
    dependencies=[Depends(refuse_repeated_parameters)],
    responses={200: _CSV, **problems(JobNotFound, HistoryLost, ParametersInvalid, LedgerUnavailable)},
)
async def get_series(
    job_id: JobId, chosen: Annotated[Chosen, Query()], ledger: LedgerDep, settings: SettingsDep, sees: SeesDep
) -> Series | Response:
    """Read what was measured: one point an epoch, or one every so many steps of a function's minimisation."""
    after = replace(POINTS_ALONE, point=chosen.since) if chosen.since else POINTS_ALONE
    history = await history_after(ledger, settings.artifact_dir, job_id, after, owner=sees)
    points = history.points if chosen.superseded else that_count(history.points)
    names = chosen.names.split(",") if chosen.names else None
    series = series_of(points, names=names, most=chosen.max_points, since=chosen.since)
    return Response(as_csv(series), media_type="text/csv") if chosen.format == "csv" else series
