"""Measurements for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from api.deps import LedgerDep, refuse_parameters
from api.errors import ParametersInvalid
from api.metrics import CONTENT_TYPE, Metrics
from api.problems import problems

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_parameters)])


async def _metrics(request: Request) -> Metrics:
    return request.app.state.metrics


@router.get("/metrics", response_class=PlainTextResponse, responses=problems(ParametersInvalid))
async def get_metrics(ledger: LedgerDep, metrics: Annotated[Metrics, Depends(_metrics)]) -> Response:
    """Measure queues, workers, leases, webhooks and requests, in Prometheus's text form.

    Answers while Redis is away too: `lowland_ledger_up` is 0 then.
    """
    return Response(await metrics.text(ledger), media_type=CONTENT_TYPE)
