"""Whether the server is alive, and whether it can work."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

import lowland
from api.deps import LedgerDep
from api.problems import problems
from ledger import LedgerUnavailable, reads
from lowland.spec.resource import Readiness

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def get_health() -> Health:
    """Say that the process is alive. Asks nobody else."""
    return Health()


@router.get("/readyz", responses=problems(LedgerUnavailable))
async def get_readiness(ledger: LedgerDep) -> Readiness:
    """Say whether jobs can be taken: Redis answers. A missing worker is reported, and no failure."""
    overview = await ledger.run(reads.overview())
    return Readiness(
        version=lowland.__version__, workers=overview.live_workers, queued=overview.queued, running=overview.running
    )
