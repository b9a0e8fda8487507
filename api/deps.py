"""What routes ask for by name.

All `async`: the way to a thread and back costs more than what is done there. None asks for another: FastAPI solves what
a dependency depends on anew wherever that is named, though its value is kept.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, Final

from fastapi import Depends, Header, Path, Request
from pydantic import AfterValidator
from pydantic.json_schema import SkipJsonSchema

from api.access import Caller
from api.errors import ParametersInvalid
from api.requests import request_id_of
from api.settings import ApiSettings
from api.views import Views
from ledger import AsyncLedger, JobNotFound
from lowland.errors import FieldError
from lowland.spec.explain import MAX_MISTAKES
from lowland.spec.show import public

#: How our ids look; anything else names no job. Nothing else may become part of a key in Redis.
ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def _ledger(request: Request) -> AsyncLedger:
    return request.app.state.ledger


async def _settings(request: Request) -> ApiSettings:
    return request.app.state.settings


async def _views(request: Request) -> Views:
    return request.app.state.views


async def _request_id(request: Request) -> str:
    return request_id_of(request)


async def _caller(request: Request) -> Caller:
    return request.state.caller


async def _sees(request: Request) -> str:
    return request.state.caller.sees


LedgerDep = Annotated[AsyncLedger, Depends(_ledger)]
SettingsDep = Annotated[ApiSettings, Depends(_settings)]
ViewsDep = Annotated[Views, Depends(_views)]
RequestId = Annotated[str, Depends(_request_id)]
IF_NONE_MATCH: Final = "An ETag that this had; 304 where it still holds."
IfNoneMatch = Annotated[str | SkipJsonSchema[None], Header(description=IF_NONE_MATCH)]
#: Who asks, with what it may, where `guard` has let it in.
CallerDep = Annotated[Caller, Depends(_caller)]
#: Whose jobs the caller may see and touch; empty for everybody's.
SeesDep = Annotated[str, Depends(_sees)]


def _check_id(job_id: str) -> str:
    if not ID_PATTERN.fullmatch(job_id):
        raise JobNotFound(job_id)
    return job_id


JobId = Annotated[str, Path(description="The job's id."), AfterValidator(_check_id)]


async def refuse_parameters(request: Request) -> None:
    """For routes that take no query parameter."""
    if request.query_params:
        raise ParametersInvalid(
            [
                FieldError(field=name, value=public(value), detail=f"{name} is not a parameter here; there is none")
                for name, value in islice(request.query_params.items(), MAX_MISTAKES)
            ]
        )


def refuse_repeated_parameters_but(*many: str) -> Callable[[Request], Awaitable[None]]:
    """Of a parameter given twice nobody knows which is meant, unless it is one of which there may be many."""

    async def refuse(request: Request) -> None:
        counts = Counter(name for name, _ in request.query_params.multi_items() if name not in many)
        if repeated := sorted(name for name, count in counts.items() if count > 1):
            raise ParametersInvalid(
                [
                    FieldError(
                        field=name,
                        value=public(request.query_params.getlist(name)),
                        detail=f"{name} is given more than once",
                    )
                    for name in repeated[:MAX_MISTAKES]
                ]
            )

    return refuse


refuse_repeated_parameters = refuse_repeated_parameters_but()
