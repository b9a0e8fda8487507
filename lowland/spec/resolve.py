"""How a job's gaps are filled: its own words first, then the dataset's recipe, then the general defaults."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from lowland.spec.base import SpecModel
from lowland.spec.functions import find_named
from lowland.spec.recipes import FUNCTION_RECIPE, RECIPES, Recipe
from lowland.spec.schedules import WARMUP_EPOCHS, WARMUP_FRACTION
from lowland.spec.unions import TaggedUnion, tagged_union


def resolve(given: Mapping[str, Any], spec: type[SpecModel]) -> dict[str, Any]:
    """Fill a partial spec in, without checking it.

    Args:
        given: a spec as a caller wrote it, strings standing for objects.
        spec: `JobSpec`; the general defaults are read from its fields.
    """
    fields, unions = spec.model_fields, _unions(spec)
    filled = dict(given)
    for name in unions.keys() & filled.keys():
        filled[name] = unions[name].expand(filled[name])
    tags = {
        name: str(getattr(default, unions[name].tag))
        for name in unions
        if isinstance(default := fields[name].default, SpecModel)
    }
    for name, recipe in _recipe(filled).items():
        union, suited = unions.get(name), recipe
        if union is not None and union.tag not in recipe:
            suited = _as_far_as_it_has(union, recipe, filled.get(name), tags.get(name))
        filled[name] = _merged(filled.get(name, suited), suited, union.tag if union else None)
    for name, tag in tags.items():
        filled[name] = _merged(filled.get(name, {}), {unions[name].tag: tag}, unions[name].tag)
    if (shorter := _short_warmup(filled, spec)) is not None:
        filled["schedule"] = {**filled["schedule"], "warmup_epochs": shorter}
    return filled


@cache
def _unions(spec: type[SpecModel]) -> Mapping[str, TaggedUnion]:
    return {name: union for name, info in spec.model_fields.items() if (union := tagged_union(info))}


def _recipe(filled: Mapping[str, object]) -> Recipe:
    if (function := filled.get("function")) is not None:
        return {**FUNCTION_RECIPE, "optimizer": {**FUNCTION_RECIPE["optimizer"], **_usual_learning_rate(function)}}
    dataset = filled.get("dataset")
    name = cast("Mapping[str, object]", dataset).get("name") if isinstance(dataset, Mapping) else None
    return RECIPES.get(name, {}) if isinstance(name, str) else {}


def _usual_learning_rate(function: object) -> Mapping[str, float]:
    """What suits a test function; nothing for an expression, or what is neither."""
    named = find_named(function) if isinstance(function, str) else None
    return {"lr": named.lr} if named else {}


def _as_far_as_it_has(
    union: TaggedUnion, suited: Mapping[str, Any], given: object, default: str | None
) -> dict[str, Any]:
    """Those fields of a nameless object that the member has which is chosen, or chosen by default."""
    chosen = cast("Mapping[str, object]", given).get(union.tag, default) if isinstance(given, Mapping) else default
    member = union.members.get(str(chosen))
    has = member.model_fields if member else {}
    return {union.tag: chosen, **{field: value for field, value in suited.items() if field in has}}


def _merged(given: object, default: object, tag: str | None) -> object:
    """Lay an object over its default, unless it is an object of another kind."""
    if not isinstance(given, Mapping) or not isinstance(default, Mapping):
        return cast("object", given)
    upper, lower = cast("Mapping[str, object]", given), cast("Mapping[str, object]", default)
    if tag is not None and upper.get(tag, lower.get(tag)) != lower.get(tag):
        return upper
    return {**lower, **upper}


def _short_warmup(filled: Mapping[str, Any], spec: type[SpecModel]) -> float | None:
    """The default warm-up of a run that is too short for the usual one; None where there is nothing to shorten."""
    schedule, epochs = filled["schedule"], filled.get("epochs", spec.model_fields["epochs"].default)
    if not isinstance(schedule, Mapping) or "warmup_epochs" in schedule or not isinstance(epochs, int):
        return None
    union = _unions(spec)["schedule"]
    model = union.members.get(str(cast("Mapping[str, object]", schedule).get(union.tag)))
    info = model.model_fields.get("warmup_epochs") if model else None
    # compared as integers first: a hostile number of epochs may not fit a float
    is_long = epochs >= WARMUP_EPOCHS / WARMUP_FRACTION
    is_wrong = epochs < 1  # which is told of the field itself, not of what follows from it
    return None if info is None or info.default != WARMUP_EPOCHS or is_long or is_wrong else WARMUP_FRACTION * epochs
