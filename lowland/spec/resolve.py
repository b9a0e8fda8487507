"""How a job's gaps are filled: its own words first, then the dataset's recipe, then the general defaults."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic.fields import FieldInfo

from lowland.spec.base import SpecModel
from lowland.spec.recipes import RECIPES, Recipe
from lowland.spec.unions import tagged_union

#: The warm-up's default: this fraction of the run, and at most so many epochs.
WARMUP_FRACTION: Final = 0.1
WARMUP_EPOCHS: Final = 1.0


def resolve(given: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Fill a partial spec in, without checking it.

    Args:
        given: a spec as a caller wrote it, strings standing for objects.
        fields: those of `JobSpec`; the general defaults are read from them.
    """
    unions = {name: union for name, info in fields.items() if (union := tagged_union(info))}
    filled = dict(given)
    for name in unions.keys() & filled.keys():
        filled[name] = unions[name].expand(filled[name])
    for name, suited in _recipe(filled.get("dataset")).items():
        filled[name] = _merged(filled.get(name, suited), suited, unions[name].tag if name in unions else None)
    for name, union in unions.items():
        default = fields[name].default
        if isinstance(default, SpecModel):
            filled[name] = _merged(filled.get(name, {}), {union.tag: getattr(default, union.tag)}, union.tag)
    return _with_warmup(filled, fields)


def _recipe(dataset: object) -> Recipe:
    name = cast("Mapping[str, object]", dataset).get("name") if isinstance(dataset, Mapping) else None
    return RECIPES.get(name, {}) if isinstance(name, str) else {}


def _merged(given: object, default: object, tag: str | None) -> object:
    """Lay an object over its default, unless it is an object of another kind."""
    if not isinstance(given, Mapping) or not isinstance(default, Mapping):
        return cast("object", given)
    upper, lower = cast("Mapping[str, object]", given), cast("Mapping[str, object]", default)
    if tag is not None and upper.get(tag, lower.get(tag)) != lower.get(tag):
        return upper
    return {**lower, **upper}


def _with_warmup(filled: dict[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    epochs = filled.get("epochs", fields["epochs"].default)
    if filled["schedule"] == {"name": "cosine"} and isinstance(epochs, int):
        # compared as integers first: a hostile number of epochs may not fit a float
        is_long = epochs >= WARMUP_EPOCHS / WARMUP_FRACTION
        filled["schedule"] = {"name": "cosine", "warmup_epochs": WARMUP_EPOCHS if is_long else WARMUP_FRACTION * epochs}
    return filled
