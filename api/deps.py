"""What routes ask for by name. All `async`: the way to a thread and back costs more than what is done there."""

import asyncio
import json
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import islice
from typing import Annotated, Final

from fastapi import Depends, Header, Path, Request
from pydantic.json_schema import SkipJsonSchema

from api.access import Caller, authenticate
from api.bodies import read_json
from api.errors import ParametersInvalid
from api.requests import request_id_of
from api.settings import ApiSettings
from api.views import Views
from ledger import AsyncLedger, Idempotency, JobNotFound, WeightsMissing, reads
from lowland.errors import FieldError, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.explain import MAX_MISTAKES
from lowland.spec.show import public, shown

#: How our ids look; anything else names no job. Nothing else may become part of a key in Redis.
ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Makes a POST happen once (draft-ietf-httpapi-idempotency-key-header).
_KEY_HEADER: Final = "Idempotency-Key"
_KEY_PATTERN: Final = re.compile(r"[\x20-\x7e]{1,255}")  # spaces at the ends are no part of a header
#: Of a body's digest, kept with its key: enough that no two bodies share it, and a third of the memory.
_FINGERPRINT_BYTES: Final = 16


async def _ledger(request: Request) -> AsyncLedger:
    return request.app.state.ledger


async def _settings(request: Request) -> ApiSettings:
    return request.app.state.settings


async def _views(request: Request) -> Views:
    return request.app.state.views


async def _stopping(request: Request) -> asyncio.Event:
    return request.app.state.stopping


async def _request_id(request: Request) -> str:
    return request_id_of(request)


LedgerDep = Annotated[AsyncLedger, Depends(_ledger)]
SettingsDep = Annotated[ApiSettings, Depends(_settings)]
ViewsDep = Annotated[Views, Depends(_views)]
StoppingDep = Annotated[asyncio.Event, Depends(_stopping)]
RequestId = Annotated[str, Depends(_request_id)]
#: Who asks, with what it may.
WhoDep = Annotated[Caller, Depends(authenticate)]


async def _owner(caller: WhoDep) -> str:
    return caller.owner


async def _sees(caller: WhoDep) -> str:
    return caller.sees


#: Whose a job becomes.
CallerDep = Annotated[str, Depends(_owner)]
#: Whose jobs the caller may see and touch; empty for everybody's.
SeesDep = Annotated[str, Depends(_sees)]


async def _job_id(job_id: Annotated[str, Path(description="The job's id.")]) -> str:
    if not ID_PATTERN.fullmatch(job_id):
        raise JobNotFound(job_id)
    return job_id


JobId = Annotated[str, Depends(_job_id)]


async def _body(request: Request, settings: SettingsDep) -> object:
    return await read_json(request, max_bytes=settings.max_body_bytes)


Body = Annotated[object, Depends(_body)]


async def _spec(body: Body) -> JobSpec:
    return JobSpec.parse(body)


async def _idempotency(
    request: Request,
    spec: Annotated[JobSpec, Depends(_spec)],  # digested only once it is known to be one
    body: Body,
    key: Annotated[  # for the document; a header that is repeated it does not tell
        str | SkipJsonSchema[None],
        Header(
            alias=_KEY_HEADER,
            description="Sent again under the same key within 24 hours, the same JSON, written the same way, makes no "
            "second job: the answer is the first one's job. Any text, a UUID say, taken as it is, quotes too.",
            json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": f"^{_KEY_PATTERN.pattern}$"},
        ),
    ] = None,
) -> Idempotency | None:
    given = [value.strip(" \t") for value in request.headers.getlist(_KEY_HEADER)]
    if not given:
        return None
    if len(given) > 1 or not _KEY_PATTERN.fullmatch(given[0]):
        problem = "is given more than once" if len(given) > 1 else f"is {shown(given[0])}"
        detail = f"{_KEY_HEADER} {problem}; give one, of 1 to 255 printable ASCII characters"
        raise ParametersInvalid([FieldError(field=_KEY_HEADER, value=public(given[0]), detail=detail)])
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = sha256(canonical.encode()).digest()[:_FINGERPRINT_BYTES]
    return Idempotency(key=given[0], fingerprint=urlsafe_b64encode(digest).decode().rstrip("="))


IdempotencyDep = Annotated[Idempotency | None, Depends(_idempotency)]


async def _startable_spec(
    spec: Annotated[JobSpec, Depends(_spec)], idempotency: IdempotencyDep, ledger: LedgerDep, caller: WhoDep
) -> JobSpec:
    """The spec of a body, whose weights to start from are there if it names any."""
    origin = spec.model.init_from
    if origin is not None:
        try:
            await ledger.run(reads.get_weights(origin, owner=caller.sees))
        except WeightsMissing as error:
            if idempotency and await ledger.run(reads.is_known(idempotency, owner=caller.owner)):
                return spec  # they were there when its job was made
            refused = FieldError(field="model.init_from.job", value=origin.job, detail=str(error))
            raise SpecInvalid([refused]) from error
    return spec


SpecBody = Annotated[JobSpec, Depends(_startable_spec)]


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
