"""pydantic's errors, said so that a person can mend what they sent: the field, its value, what would be accepted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lowland.errors import FieldError
from lowland.spec.show import SECRET_FIELDS, cut, nearest, one_of, public, shown
from lowland.spec.unions import models_in, tagged_union

#: So many mistakes are told; finding the nearest known name takes time for each.
MAX_MISTAKES: Final = 20

#: What each of pydantic's error types would have accepted; `{}` are its context's values.
_ACCEPTED: Final[Mapping[str, str]] = {
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
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


def explain(error: ValidationError, model: type[BaseModel]) -> list[FieldError]:
    """One entry per mistake, in the order of the fields; of very many the first, and how many more there are.

    Args:
        error: what validating against `model` raised.
        model: tells which part of pydantic's `loc` is a union's tag, and which field names exist.
    """
    found = error.errors(include_url=False)
    told = [_explained(detail, model) for detail in found[:MAX_MISTAKES]]
    if more := len(found) - len(told):
        told.append(
            FieldError(field="", value=None, detail=f"and {more} more {'mistake' if more == 1 else 'mistakes'}")
        )
    return told


def _explained(error: ErrorDetails, model: type[BaseModel]) -> FieldError:
    path, owner = _without_tags(error["loc"], model)
    field = ".".join(cut(str(part)) for part in path)
    value = "(hidden)" if SECRET_FIELDS & set(path) else error["input"]
    return FieldError(field=field, value=public(value), detail=_sentence(error, field, value, owner))


def _sentence(error: ErrorDetails, field: str, value: Any, owner: type[BaseModel] | None) -> str:
    context: Mapping[str, Any] = error.get("ctx", {})
    is_value = f"{field or 'the body'} is {shown(value)}"
    match error["type"]:
        case "extra_forbidden":
            name, known = field.rsplit(".", 1)[-1], list(owner.model_fields) if owner else []
            return f"{field} is not a field{_hint(name, known)}; known here: {', '.join(known)}"
        case "missing":
            return f"{field} is missing"
        case "value_error":
            return f"{field}: {context['error']}" if field else str(context["error"])
        case "union_tag_invalid":
            known = [tag.strip().strip("'") for tag in str(context["expected_tags"]).split(",")]
            tag = str(context["tag"])
            named = f"{field} is {shown(tag)}" if isinstance(value, Mapping) else is_value
            return f"{named}, which is not known{_hint(tag, known)}; give {one_of(known)}"
        case "union_tag_not_found":
            known = list(union.members) if owner and (union := tagged_union(owner.model_fields[field])) else []
            return f"{field}.{str(context['discriminator']).strip(chr(39))} is missing; give {one_of(known)}"
        case "literal_error" | "enum":
            known = [part.strip().strip("'") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
            return f"{is_value}{_hint(str(value), known)}; give {one_of(known)}"
        case kind if kind in _ACCEPTED:
            return f"{is_value}; give {_ACCEPTED[kind].format_map(context)}"
        case _:
            return f"{is_value}: {error['msg']}"


def _hint(name: str, known: Sequence[str]) -> str:
    return f" (did you mean {shown(near)}?)" if (near := nearest(name, known)) else ""


def _without_tags(
    loc: Sequence[int | str], model: type[BaseModel]
) -> tuple[tuple[int | str, ...], type[BaseModel] | None]:
    """Drop the tags of discriminated unions from a location; also give the model that holds its last field."""
    path: list[int | str] = []
    owner: type[BaseModel] | None = model
    rest = list(loc)
    while rest:
        part = rest.pop(0)
        path.append(part)
        info = owner.model_fields.get(str(part)) if owner else None
        if info is None or not rest:
            break
        union = tagged_union(info)
        owner = union.members.get(str(rest.pop(0))) if union else next(models_in(info.annotation), None)
    return (*path, *rest), owner
