"""Sheets: a recipe in `examples/`, the variants it is run with, and the accuracy that the seed states for its data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lowland.spec import JobSpec

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"

#: The seed's variants that suit any data; ImbSAM needs rare classes.
BALANCED: Final = ("none", "sam", "ssam-f", "ssam-d", "friendly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows that are compared with each other."""

    title: str
    example: str
    """The recipe: a file in `examples/`, without its ending."""
    seed_accuracy: float | None = None
    """Test accuracy that the seed's README states, a fraction."""
    variants: tuple[str, ...] = BALANCED


SHEETS: Final[Mapping[str, Sheet]] = {
    "kmnist": Sheet(title="KMNIST", example="kmnist-sam", seed_accuracy=0.98),
    "kmnist-quick": Sheet(title="KMNIST, a narrow network", example="kmnist-quick-sam", seed_accuracy=0.98),
    "fashion-mnist": Sheet(title="FashionMNIST", example="fashion-mnist-sam", seed_accuracy=0.93),
    "cifar10": Sheet(title="CIFAR-10", example="cifar10-sam", seed_accuracy=0.84),
    "cifar10-quick": Sheet(title="CIFAR-10, a narrow network", example="cifar10-quick-sam", seed_accuracy=0.84),
    "imbalanced-cifar10": Sheet(
        title="CIFAR-10, classes 100:1", example="imbalanced-cifar10-imbsam", variants=(*BALANCED, "imbsam")
    ),
    "seed-kmnist": Sheet(title="KMNIST, the seed's recipe", example="seed-kmnist", seed_accuracy=0.98),
    "seed-fashion-mnist": Sheet(
        title="FashionMNIST, the seed's recipe", example="seed-fashion-mnist", seed_accuracy=0.93
    ),
    "seed-cifar10": Sheet(title="CIFAR-10, the seed's recipe", example="seed-cifar10", seed_accuracy=0.84),
}


def spec_of(sheet: str, variant: str, *, seed: int, epochs: int | None) -> JobSpec:
    """The job of one run.

    An example called `<sheet>-<variant>` is taken where there is one; else the sheet's own with the variant in place of
    its, with that variant's defaults, active in the same part of the run.

    Args:
        epochs: instead of the recipe's; None leaves them.

    Raises:
        SpecInvalid: the recipe does not suit the variant.
    """
    own = EXAMPLES / f"{sheet}-{variant}.json"
    given = _read(own if own.exists() else EXAMPLES / f"{SHEETS[sheet].example}.json")
    if JobSpec.parse(given).sam.variant != variant:
        active = given["sam"].get("active") if isinstance(given["sam"], dict) else None
        given["sam"] = {"variant": variant, **({"active": active} if active and variant != "none" else {})}
    if epochs is not None:
        given = _shortened(given, epochs)
    return JobSpec.parse({**given, "name": f"{sheet} {variant}", "seed": seed})


def _shortened(recipe: dict[str, Any], epochs: int) -> dict[str, Any]:
    """With other epochs, and as large a part of them for the warm-up."""
    schedule = recipe.get("schedule")
    if isinstance(schedule, dict) and "warmup_epochs" in schedule:
        schedule = {**schedule, "warmup_epochs": schedule["warmup_epochs"] * epochs / recipe["epochs"]}
    return {**recipe, "epochs": epochs, **({} if schedule is None else {"schedule": schedule})}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
