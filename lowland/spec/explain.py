"""pydantic's errors, said so that a person can mend what they sent: the field, its value, what would be accepted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lowland.errors import FieldError
from lowland.spec.base import PATTERNS, Conflict, Unfit, wire_fields
from lowland.spec.show import SECRET_FIELDS, SECRET_OWNERS, cut, escaped, nearest, one_of, public, shown
from lowland.spec.unions import alternatives, models_in, tagged_union

#: So many mistakes are told; finding the nearest known name takes time for each.
MAX_MISTAKES: Final = 20

#: What each of pydantic's error types would have accepted; `{}` are its context's values.
_ACCEPTED: Final[Mapping[str, str]] = {
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "a smaller integer",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object, or a name that stands for one",
}


def explain(error: ValidationError, model: type[BaseModel], given: object, *, kind: str = "field") -> list[FieldError]:
    """One entry per mistake, in the order of the fields; of very many the first, and how many more there are.

    Args:
        error: what validating against `model` raised.
        model: tells which part of pydantic's `loc` is a union's tag, and which field names exist.
        given: what was sent, before any default or name was filled in.
        kind: what the fields are called.
    """
    found = error.errors(include_url=False)
    told = [_explained(detail, model, given, kind) for detail in found[:MAX_MISTAKES]]
    if more := len(found) - len(told):
        told.append(
            FieldError(field="", value=None, detail=f"and {more} more {'mistake' if more == 1 else 'mistakes'}")
        )
    return told


def _explained(error: ErrorDetails, model: type[BaseModel], given: object, kind: str) -> FieldError:
    path, owner = _without_tags(error["loc"], model)
    place = _dotted(path)
    cause = error.get("ctx", {}).get("error")
    read = error["input"]
    if isinstance(cause, Conflict):
        path, read = (*path, *cause.field.split(".")), None
    if error["type"] == "missing":
        read = None
    field = _dotted(path)
    value = "(hidden)" if _may_hold_a_secret(error, path) else _sent(given, path, read)
    return FieldError(field=field, value=public(value), detail=_sentence(error, place, field, value, owner, kind))


def _dotted(path: Sequence[int | str]) -> str:
    return ".".join(cut(escaped(str(part))) for part in path if part != "[key]")


def _may_hold_a_secret(error: ErrorDetails, path: Sequence[int | str]) -> bool:
    """Whether the value is a secret, or what somebody took for the place of one."""
    is_misplaced = len(path) == 1 or error["type"] == "extra_forbidden"
    return bool(SECRET_FIELDS & set(path)) or (bool(path) and path[0] in SECRET_OWNERS and is_misplaced)


def _sent(given: object, path: Sequence[int | str], read: object) -> object:
    """What was sent at a path; where nothing was, what was read there."""
    for part in path:
        if isinstance(given, Mapping) and part in given:
            given = cast("Mapping[object, object]", given)[part]
        elif isinstance(given, Sequence) and isinstance(part, int) and part < len(cast("Sequence[object]", given)):
            given = cast("Sequence[object]", given)[part]
        else:
            return read
    return given


def _sentence(error: ErrorDetails, place: str, field: str, value: Any, owner: type[BaseModel] | None, kind: str) -> str:
    context: Mapping[str, Any] = error.get("ctx", {})
    is_value = f"{field or 'the body'} is {shown(value)}"
    name = field.rsplit(".", 1)[-1]
    fields: Mapping[str, FieldInfo] = wire_fields(owner) if owner else {}
    match error["type"]:
        case "extra_forbidden":
            return f"{field} is not a {kind}{_hint(name, fields)}; known here: {', '.join(fields)}"
        case "missing":
            return f"{field} is missing{_choice(fields.get(name))}"
        case "value_error" if isinstance(context["error"], Unfit):
            return f"{is_value}; {context['error']}"
        case "value_error":
            return f"{place}: {context['error']}" if place else str(context["error"])
        case "union_tag_invalid":
            known = [tag.strip().strip("'") for tag in str(context["expected_tags"]).split(",")]
            tag = value if isinstance(value, str) else _sent(value, [str(context["discriminator"]).strip("'")], None)
            return f"{field} is {shown(tag)}, which is not known{_hint(str(tag), known)}; give {one_of(known)}"
        case "union_tag_not_found":
            known = list(union.members) if (union := tagged_union(fields[name])) else []
            return f"{field}.{str(context['discriminator']).strip(chr(39))} is missing; give {one_of(known)}"
        case "literal_error" | "enum":
            known = [part.strip().strip("'") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
            return f"{is_value}{_hint(str(value), known)}; give {one_of(known)}"
        case "string_pattern_mismatch" if context["pattern"] in PATTERNS:
            return f"{is_value}; give {PATTERNS[context['pattern']]}"
        case known_type if known_type in _ACCEPTED:
            accepted = _ACCEPTED[known_type].format_map(context)
            return f"{is_value}; give {accepted}{_or_object(known_type, fields.get(name))}"
        case _:
            return f"{is_value}: {error['msg']}"


def _choice(field: FieldInfo | None) -> str:
    """What a field takes that was left out, if it is one of a few words."""
    words = [word for word in get_args(field.annotation) if isinstance(word, str)] if field else []
    return f"; give {one_of(words)}" if words else ""


def _or_object(error_type: str, field: FieldInfo | None) -> str:
    """What else a field takes that wants a number, or an object."""
    if error_type != "float_type" or field is None:
        return ""
    return "".join(f", or an object with {', '.join(wire_fields(model))}" for model in models_in(field.annotation))


def _hint(name: str, known: Collection[str]) -> str:
    return f" (did you mean {shown(near)}?)" if (near := nearest(name, known)) else ""


def _without_tags(
    loc: Sequence[int | str], model: type[BaseModel]
) -> tuple[tuple[int | str, ...], type[BaseModel] | None]:
    """Drop the labels of unions' alternatives from a location; also give the model that holds its last field."""
    path: list[int | str] = []
    owner: type[BaseModel] | None = model
    rest = list(loc)
    while rest:
        part = rest.pop(0)
        path.append(part)
        info = wire_fields(owner).get(str(part)) if owner else None
        if info is None or not rest:
            break
        labels = alternatives(info)
        chosen = labels.get(str(rest.pop(0))) if labels else next(models_in(info.annotation), None)
        if chosen is None and not rest:
            break
        owner = chosen
    return (*path, *rest), owner
