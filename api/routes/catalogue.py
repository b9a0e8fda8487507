"""The catalogue: what a job can name, with every default and bound. The same until another version is installed."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel
from pydantic_core import to_json

from api.deps import IfNoneMatch, refuse_parameters
from api.errors import ParametersInvalid
from api.openapi import job_schema
from api.problems import header, problems
from api.views import Page, etag_of
from lowland.spec import catalogue
from lowland.spec.catalogue import DatasetList, FunctionList, ModelList, OptimizerList, ScheduleList, VariantList

router = APIRouter(tags=["catalogue"], dependencies=[Depends(refuse_parameters)])

#: What each path lists.
LISTS: Final[Mapping[str, Callable[[], BaseModel]]] = {
    "/variants": catalogue.variants,
    "/datasets": catalogue.datasets,
    "/models": catalogue.models,
    "/optimizers": catalogue.optimizers,
    "/schedules": catalogue.schedules,
    "/functions": catalogue.functions,
}
_HEADERS: Final = {"ETag": header("string", "Strong: changes with the body.")}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": _HEADERS},
    304: {"description": "It is as the ETag in If-None-Match says", "headers": _HEADERS},
    **problems(ParametersInvalid),
}


@router.get("/variants", response_model=VariantList, responses=_RESPONSES)
async def list_variants(if_none_match: IfNoneMatch = None) -> Response:
    """List the SAM variants: what they take, what they cost, and what they are for."""
    return _answer(catalogue.variants, if_none_match)


@router.get("/datasets", response_model=DatasetList, responses=_RESPONSES)
async def list_datasets(if_none_match: IfNoneMatch = None) -> Response:
    """List the datasets: what they take, how large they are, and what suits them."""
    return _answer(catalogue.datasets, if_none_match)


@router.get("/models", response_model=ModelList, responses=_RESPONSES)
async def list_models(if_none_match: IfNoneMatch = None) -> Response:
    """List the models: what they take, how large they are, and what they are for."""
    return _answer(catalogue.models, if_none_match)


@router.get("/optimizers", response_model=OptimizerList, responses=_RESPONSES)
async def list_optimizers(if_none_match: IfNoneMatch = None) -> Response:
    """List the base optimizers: what they take, and what they train."""
    return _answer(catalogue.optimizers, if_none_match)


@router.get("/schedules", response_model=ScheduleList, responses=_RESPONSES)
async def list_schedules(if_none_match: IfNoneMatch = None) -> Response:
    """List the learning rate's schedules, and what they take."""
    return _answer(catalogue.schedules, if_none_match)


@router.get("/functions", response_model=FunctionList, responses=_RESPONSES)
async def list_functions(if_none_match: IfNoneMatch = None) -> Response:
    """List the test functions, with their minima and where to start; a job may give any expression instead."""
    return _answer(catalogue.functions, if_none_match)


@router.get("/schema", response_model=dict[str, Any], responses=_RESPONSES)
async def get_schema(if_none_match: IfNoneMatch = None) -> Response:
    """Read the JSON Schema (draft 2020-12) of a job, as POST /jobs takes it."""
    return _answer(job_schema, if_none_match)


def _answer(made: Callable[[], object], if_none_match: str | None) -> Response:
    return _page(made).answer(if_none_match, {"Cache-Control": "no-cache"})


@cache
def _page(made: Callable[[], object]) -> Page:
    body = to_json(made())
    return Page(body, etag_of(body))
