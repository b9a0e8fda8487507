"""Measurements for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from api.deps import refuse_parameters
from api.errors import ParametersInvalid
from api.metrics import CONTENT_TYPE, Metrics
from api.problems import problems
from ledger import AsyncLedger

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_parameters)])


async def _ledger(request: Request) -> AsyncLedger | None:
    return None if getattr(request.state, "ledger_is_away", False) else request.app.state.ledger


async def _metrics(request: Request) -> Metrics:
    return request.app.state.metrics


@router.get("/metrics", response_class=PlainTextResponse, responses=problems(ParametersInvalid))
async def get_metrics(
    ledger: Annotated[AsyncLedger | None, Depends(_ledger)], metrics: Annotated[Metrics, Depends(_metrics)]
) -> Response:
    """Measure queues, workers, leases, webhooks and requests, in Prometheus's text form.

    Answers while Redis is away too, and whoever asks: `lowland_ledger_up` is 0 then, and of the others only what this
    process counts itself is shown.
    """
    return Response(await metrics.text(ledger), media_type=CONTENT_TYPE)
