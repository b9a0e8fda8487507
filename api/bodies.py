"""Reading a request's body as JSON, strictly: what two readers could understand differently is refused.

Stricter than `json.loads`: UTF-8 only, no NaN or Infinity, no key twice in an object, bounded length and nesting.
"""

import json
from collections.abc import Iterable
from email.message import Message
from typing import Final

from starlette.requests import Request

from api.errors import BodyMalformed, BodyTooLarge, ContentTypeUnsupported

#: Deeper documents are refused; a job spec needs 4.
MAX_DEPTH: Final = 32
#: Longer integers are read as floats, which no integer field takes: Python's own conversion takes quadratic time.
MAX_INTEGER_DIGITS: Final = 300


async def read_json(request: Request, *, max_bytes: int) -> object:
    """The body as JSON values.

    Raises:
        ContentTypeUnsupported: it is not declared as JSON.
        BodyTooLarge: it is longer than `max_bytes`; no more than that is read.
        BodyMalformed: it is not JSON.
    """
    content_type = request.headers.get("content-type", "")
    message = Message()
    message["Content-Type"] = content_type
    charset = message.get_content_charset("utf-8")
    if message.get_content_type() != "application/json" or charset not in {"utf-8", "utf8", "us-ascii"}:
        raise ContentTypeUnsupported(content_type)
    return parse_json(await _read(request, max_bytes))


def parse_json(raw: bytes) -> object:
    """Read one JSON document.

    Raises:
        BodyMalformed: it is not JSON; the message says where it breaks.
    """
    if not raw.strip():
        raise BodyMalformed("the body is empty; send a JSON object")
    try:
        value = json.loads(
            raw.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_int=_read_integer,
            object_pairs_hook=_object_without_repeats,
        )
    except UnicodeDecodeError as error:
        raise BodyMalformed(f"byte {error.start} of the body is not UTF-8; send JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise BodyMalformed(f"line {error.lineno}, column {error.colno} of the body: {error.msg}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if _is_deeper_than(MAX_DEPTH, value):
        raise _too_deep()
    return value


async def _read(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLarge(max_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes)
    return bytes(body)


def _refuse_constant(name: str) -> float:
    raise BodyMalformed(f"{name} is no JSON; give a finite number")


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise BodyMalformed(f"{json.dumps(key)} stands twice in one object; give it once")
        members[key] = value
    return members


def _is_deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
    return any(isinstance(node, list | dict) for node in level)


def _children(node: object) -> Iterable[object]:
    match node:
        case dict():
            return node.values()
        case list():
            return node
        case _:
            return ()


def _too_deep() -> BodyMalformed:
    return BodyMalformed(f"the body is nested more than {MAX_DEPTH} levels deep; a job spec needs 4")
