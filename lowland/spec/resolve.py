"""How what a job leaves open is filled in: its own words first, then the dataset's recipe, then the general defaults."""

from collections.abc import Mapping
from typing import Any, Final

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
    name = dataset.get("name") if isinstance(dataset, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]: unchecked input
    return RECIPES.get(name, {}) if isinstance(name, str) else {}


def _merged(given: Any, default: Any, tag: str | None) -> Any:
    """Lay an object over its default, unless it is an object of another kind."""
    if not isinstance(given, Mapping) or not isinstance(default, Mapping):
        return given  # pyright: ignore[reportUnknownVariableType]: unchecked input
    if tag in given and tag in default and given[tag] != default[tag]:
        return given  # pyright: ignore[reportUnknownVariableType]: unchecked input
    return {**default, **given}


def _with_warmup(filled: dict[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    schedule, epochs = filled.get("schedule"), filled.get("epochs", fields["epochs"].default)
    if isinstance(schedule, dict) and schedule.get("name") == "cosine" and isinstance(epochs, int):  # pyright: ignore[reportUnknownMemberType]: unchecked input
        warmup = min(WARMUP_EPOCHS, WARMUP_FRACTION * epochs)
        filled["schedule"] = {"warmup_epochs": warmup, **schedule}
    return filled
