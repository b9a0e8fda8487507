"""Reading a request's body as JSON, strictly, of bounded length."""

from email.message import Message
from typing import Final

from starlette.requests import Request

from api.errors import BodyMalformed, BodyTooLarge, ContentTypeUnsupported, ParametersInvalid
from lowland.errors import FieldError
from lowland.spec.show import public, shown
from lowland.spec.strict_json import JsonMalformed, parse_json

#: As much of a body that nobody reads is looked at, in bytes.
_QUOTED: Final = 100


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
    try:
        return parse_json(await _read(request, max_bytes), what="the body")
    except JsonMalformed as error:
        raise BodyMalformed(str(error)) from error


async def refuse_body(request: Request) -> None:
    """For routes that take nothing in a body: whoever sends something there would wait for it in vain.

    Raises:
        ParametersInvalid: there is one; `{}` says nothing and passes.
    """
    begin = bytearray()
    async for chunk in request.stream():
        begin += chunk
        if len(begin) > _QUOTED:
            break
    if bytes(begin).strip() not in {b"", b"{}"}:
        value = public(begin[:_QUOTED].decode(errors="replace"))
        detail = f"the body is {shown(value)}, and none is read here; give what is wanted as query parameters"
        raise ParametersInvalid([FieldError(field="body", value=value, detail=detail)])


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
