"""What POST /jobs is given: a job spec, and the key under which it happens once."""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from pydantic.json_schema import SkipJsonSchema

from api.access import Caller
from api.bodies import read_json
from api.bounds import refuse_beyond
from api.errors import ParametersInvalid
from ledger import AsyncLedger, Idempotency, WeightsMissing, reads
from lowland.errors import FieldError, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.show import public, shown

#: Makes a POST happen once (draft-ietf-httpapi-idempotency-key-header).
_KEY_HEADER: Final = "Idempotency-Key"
_KEY_PATTERN: Final = re.compile(r"[\x20-\x7e]{1,255}")  # spaces at the ends are no part of a header
#: Of a body's digest, kept with its key: enough that no two bodies share it, and a third of the memory.
_FINGERPRINT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be made."""

    spec: JobSpec
    """The weights it starts from are there, if it names any."""
    idempotency: Idempotency | None


async def _read(
    request: Request,
    key: Annotated[  # for the document; a header that is repeated it does not tell
        str | SkipJsonSchema[None],
        Header(
            alias=_KEY_HEADER,
            description="Sent again under the same key within 24 hours, the same JSON, written the same way, makes no "
            "second job: the answer is the first one's job. Any text, a UUID say, taken as it is, quotes too.",
            json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": f"^{_KEY_PATTERN.pattern}$"},
        ),
    ] = None,
) -> Submission:
    state = request.app.state
    body = await read_json(request, max_bytes=state.settings.max_body_bytes)
    spec = JobSpec.parse(body)
    refuse_beyond(spec, max_samples_seen=state.settings.max_samples_seen)
    idempotency = _idempotency(request.headers.getlist(_KEY_HEADER), body)
    if spec.model.init_from is not None:
        await _demand_weights(spec, idempotency, state.ledger, request.state.caller)
    return Submission(spec, idempotency)


SubmissionDep = Annotated[Submission, Depends(_read)]


def _idempotency(headers: Sequence[str], body: object) -> Idempotency | None:
    given = [value.strip(" \t") for value in headers]
    if not given:
        return None
    if len(given) > 1 or not _KEY_PATTERN.fullmatch(given[0]):
        problem = "is given more than once" if len(given) > 1 else f"is {shown(given[0])}"
        detail = f"{_KEY_HEADER} {problem}; give one, of 1 to 255 printable ASCII characters"
        raise ParametersInvalid([FieldError(field=_KEY_HEADER, value=public(given[0]), detail=detail)])
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = sha256(canonical.encode()).digest()[:_FINGERPRINT_BYTES]
    return Idempotency(key=given[0], fingerprint=urlsafe_b64encode(digest).decode().rstrip("="))


async def _demand_weights(spec: JobSpec, idempotency: Idempotency | None, ledger: AsyncLedger, caller: Caller) -> None:
    """Refuse weights to start from that are not there, or not the caller's."""
    origin = spec.model.init_from
    assert origin is not None
    try:
        await ledger.run(reads.get_weights(origin, owner=caller.sees))
    except WeightsMissing as error:
        if idempotency and await ledger.run(reads.is_known(idempotency, owner=caller.owner)):
            return  # they were there when its job was made
        refused = FieldError(field="model.init_from.job", value=origin.job, detail=str(error))
        raise SpecInvalid([refused]) from error
