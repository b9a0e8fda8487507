"""The audit: who did what."""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import Field, field_validator

from api.deps import LedgerDep, refuse_repeated_parameters
from api.errors import ParametersInvalid
from api.parameters import Parameters
from api.problems import problems
from ledger import LedgerUnavailable, access
from lowland.spec.access import AuditPage
from lowland.spec.base import Unfit

router = APIRouter(tags=["access"])

#: How an entry's id looks.
_CURSOR: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")


class Reading(Parameters):
    """Which part of the audit to read."""

    limit: int = Field(default=50, ge=1, le=200)
    """Entries a page."""
    cursor: str | None = None
    """The `next` of the page before."""

    @field_validator("cursor")
    @classmethod
    def _is_an_id(cls, cursor: str | None) -> str | None:
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise Unfit("the `next` of the page before")
        return cursor


@router.get(
    "/audit",
    dependencies=[Depends(refuse_repeated_parameters)],
    responses=problems(ParametersInvalid, LedgerUnavailable),
)
async def read_audit(reading: Annotated[Reading, Query()], ledger: LedgerDep) -> AuditPage:
    """Read who did what, newest first: every request that was to change something, and what `lowland keys` did.

    The latest 10,000 or so are kept.
    """
    return await ledger.run(access.read_audit(limit=reading.limit, cursor=reading.cursor))
