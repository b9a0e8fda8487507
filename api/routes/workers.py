"""Workers: who is there, doing what, and who is to go."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from api.bodies import refuse_body
from api.deps import LedgerDep, refuse_parameters
from api.errors import ParametersInvalid
from api.problems import problems
from ledger import LedgerUnavailable, WorkerNotFound, presence
from lowland.spec.resource import Worker, WorkerList

router = APIRouter(tags=["workers"], dependencies=[Depends(refuse_parameters)])


@router.get("/workers", responses=problems(ParametersInvalid, LedgerUnavailable))
async def list_workers(ledger: LedgerDep) -> WorkerList:
    """List the workers that have not left, their devices, and the jobs on them."""
    return WorkerList(workers=await ledger.run(presence.list_workers()))


@router.post(
    "/workers/{worker_id}/drain",
    dependencies=[Depends(refuse_body)],
    responses=problems(WorkerNotFound, ParametersInvalid, LedgerUnavailable),
)
async def drain_worker(
    worker_id: Annotated[str, Path(description="As GET /workers names it.")], ledger: LedgerDep
) -> Worker:
    """Have a worker stop: it takes no more jobs, its engines write checkpoints, their jobs are queued again without
    spending an attempt, and it exits. Draining again changes nothing.
    """
    return await ledger.run(presence.drain(worker_id))
