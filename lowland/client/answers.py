"""Reading what a server answers: models, leniently, and problem documents as errors.

A server may be newer than we are. Fields that we do not know are left out; a value that we cannot read (a new status, a
new variant) is kept as it came, as plain JSON values.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from lowland import errors
from lowland.errors import FieldError, LimitReached, LowlandError, RequestFailed, ServerUnavailable, SpecInvalid
from lowland.spec.base import wire_fields
from lowland.spec.unions import models_in, tagged_union

M = TypeVar("M", bound=BaseModel)

TYPE_PREFIX: Final = "urn:lowland:problem:"
#: Problems that have an error of their own; the others are `RequestFailed`.
_NAMED: Final[Mapping[str, type[RequestFailed]]] = {
    "job-not-found": errors.JobNotFound,
    "artifact-not-found": errors.ArtifactNotFound,
    "artifact-lost": errors.ArtifactNotFound,
    "event-refused": errors.EventRefused,
    "key-missing": errors.KeyRefused,
    "key-refused": errors.KeyRefused,
    "scope-missing": errors.NotAllowed,
}
#: What others than the server mean by these.
_BY_STATUS: Final[Mapping[int, type[RequestFailed]]] = {401: errors.KeyRefused, 403: errors.NotAllowed}
#: Whatever its kind, it stands for `LimitReached`.
_TOO_MANY: Final = 429
#: What stands between us and a server says these; none comes from a mistake in the request.
_UNAVAILABLE: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server has answered."""

    status: int
    """Of HTTP."""
    headers: Mapping[str, str]
    """By any case of their names."""
    body: bytes


def read(model: type[M], body: bytes) -> M:
    """A successful answer as a model, as far as we can read it.

    Raises:
        ValueError: it is not JSON, or lacks what the model needs.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        document = _parsed(body)
        if not isinstance(document, dict) or not _required(model) <= cast("dict[str, Any]", document).keys():
            raise ValueError(f"this is no {model.__name__}") from error
        return _leniently(model, cast("dict[str, Any]", document))


def failure(url: str, answer: Answer) -> LowlandError:
    """The error that an unsuccessful answer stands for.

    Args:
        url: the server's, for the message.
        answer: with a problem document, or whatever something between us and the server has put in its place.
    """
    problem = _problem(answer.body)
    slug = str(problem.get("type", "")).removeprefix(TYPE_PREFIX)
    elsewhere = f" with {location}" if (location := answer.headers.get("location")) else ""
    detail = str(problem.get("detail") or f"{url} answered {answer.status}{elsewhere}")
    if answer.status in _UNAVAILABLE:
        return ServerUnavailable(url, detail, retry_after_s=_retry_after_s(answer))
    if slug == "spec-invalid" and (mistakes := _field_errors(problem)):
        return SpecInvalid(mistakes)
    if answer.status == _TOO_MANY:
        return LimitReached(slug=slug, detail=detail, retry_after_s=_retry_after_s(answer))
    kind = _NAMED.get(slug) or _BY_STATUS.get(answer.status, RequestFailed)
    return kind(status=answer.status, slug=slug, detail=detail)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        document = _parsed(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _retry_after_s(answer: Answer) -> float | None:
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else None  # a date, which ours never sends, is passed over


def _field_errors(problem: Mapping[str, Any]) -> list[FieldError]:
    listed: object = problem.get("errors")
    mistakes = cast("list[object]", listed) if isinstance(listed, list) else []
    objects = [cast("dict[str, Any]", each) for each in mistakes if isinstance(each, dict)]
    return [
        FieldError(field=str(each.get("field", "")), value=each.get("value"), detail=str(each.get("detail", "")))
        for each in objects
    ]


def _required(model: type[BaseModel]) -> set[str]:
    return {name for name, info in wire_fields(model).items() if info.is_required()}


def _leniently(model: type[M], given: Mapping[str, Any]) -> M:
    fields = wire_fields(model).items()
    return model.model_construct(**{name: _part(info, given[name]) for name, info in fields if name in given})


def _part(info: FieldInfo, value: Any) -> Any:
    # By name: the field may have another one in JSON.
    by_name = ConfigDict(validate_by_name=True)
    alone: Any = create_model("Alone", __config__=by_name, value=(cast("Any", info.annotation), info))
    try:
        return alone.model_validate_json(json.dumps({"value": value})).value
    except ValidationError:
        return _parts(info, value)


def _parts(info: FieldInfo, value: Any) -> Any:
    """What can be read inside a value that cannot be read as a whole."""
    if isinstance(value, list) and get_origin(info.annotation) is list:
        inner = FieldInfo.from_annotation(get_args(info.annotation)[0])
        return [_part(inner, item) for item in cast("list[Any]", value)]
    if isinstance(value, dict) and (model := _model_for(info, cast("dict[str, Any]", value))):
        return _leniently(model, cast("dict[str, Any]", value))
    return cast("Any", value)


def _model_for(info: FieldInfo, value: Mapping[str, Any]) -> type[BaseModel] | None:
    if union := tagged_union(info):
        return union.members.get(str(value.get(union.tag)))
    return next(models_in(info.annotation), None)
