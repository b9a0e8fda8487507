"""What a job's webhook was told."""

from fastapi import APIRouter, Depends

from api.deps import JobId, LedgerDep, SeesDep, refuse_parameters
from api.errors import ParametersInvalid
from api.problems import problems
from ledger import JobNotFound, LedgerUnavailable, deliveries
from lowland.spec.resource import DeliveryList

router = APIRouter(tags=["webhooks"], dependencies=[Depends(refuse_parameters)])


@router.get(
    "/jobs/{job_id}/webhooks",
    responses=problems(JobNotFound, ParametersInvalid, LedgerUnavailable),
)
async def list_deliveries(job_id: JobId, ledger: LedgerDep, sees: SeesDep) -> DeliveryList:
    """List the messages to a job's webhook, and how they went; the latest first. Without a webhook `url` is null."""
    return await ledger.run(deliveries.list_deliveries(job_id, owner=sees))
