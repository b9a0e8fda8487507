"""What is told of a job that is allowed and rarely meant."""

from typing import Any

import pytest

from lowland.spec import JobSpec, SpecInvalid
from lowland.spec.catalogue import variants
from lowland.spec.recipes import RECIPES
from lowland.spec.warnings import unusual

FUNCTION = {"function": "x**2", "start": [1.0]}
VARIANTS = [entry.name for entry in variants().variants]

DATASETS: list[dict[str, Any]] = [
    {"dataset": name} for name in RECIPES if name not in {"folder", "table"}
] + [
    {"dataset": {"name": "folder", "path": "a"}},
    {"dataset": {"name": "table", "path": "a.csv", "target": "y", "task": "classification"}},
    FUNCTION,
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("what", DATASETS, ids=str)
def test_of_what_is_usual_nothing_is_told(what: dict[str, Any], variant: str) -> None:
    try:
        spec = JobSpec.parse({**what, "sam": variant})
    except SpecInvalid:  # it has no classes, or its optimizer no momentum
        assert variant in {"imbsam", "msam"}
    else:
        assert unusual(spec) == []


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ({"sam": {"rho": 0.5}}, "sam.rho", "10 × the usual 0.05 of sam on digits"),
        ({"sam": {"rho": {"schedule": "linear", "value": 0, "end": 5}}}, "sam.rho", "is 5, 100 ×"),
        ({"sam": {"rho": 5.0, "adaptive": True}}, "sam.rho", "10 × the usual 0.5"),
        ({"sam": {"variant": "friendly", "rho": 0}}, "sam.rho", "the base optimizer alone"),
        ({"optimizer": {"lr": 1.0}}, "optimizer.lr", "10 × the usual 0.1 of sgd on digits; training may diverge"),
        ({"optimizer": {"lr": 0.001}}, "optimizer.lr", "0.01 × the usual 0.1 of sgd on digits; training may hardly"),
        ({"sam": {"variant": "ssam-f", "sparsity": 0.99}}, "sam.sparsity", "only 1 % of the coordinates"),
        ({"batch_size": 4096}, "batch_size", "batch_size is 4096, and there are at most 1438"),
        ({"batch_size": 64, "dataset": {"name": "digits", "limit": 50}}, "batch_size", "at most 50"),
        ({"batch_size": 1024, "accumulate": 2}, "batch_size", "batch_size × accumulate is 2048"),
        ({"dataset": {"name": "linear", "samples": 100}, "batch_size": 101}, "batch_size", "at most 100"),
        ({"epochs": 10, "schedule": {"warmup_epochs": 6}}, "schedule.warmup_epochs", "6 of 10"),
        ({"epochs": 30, "max_attempts": 1}, "max_attempts", "the death of a worker"),
        (
            {"epochs": 5, "checkpoint_every_epochs": 5, "checkpoint_every_s": None},
            "checkpoint_every_epochs",
            "starts over",
        ),
    ],
    ids=str,
)
def test_what_is_unusual_is_told(spec: dict[str, Any], field: str, said: str) -> None:
    (advice,) = unusual(JobSpec.parse({"dataset": "digits", **spec}))

    assert advice.field == field
    assert said in advice.detail
    assert advice.detail.startswith(field) or field == "batch_size"


@pytest.mark.parametrize(
    "spec",
    [
        {"sam": {"rho": 0.49}},
        {"sam": {"rho": 2.0, "adaptive": True}},
        {"optimizer": {"lr": 0.9}},
        {"optimizer": {"name": "adam", "lr": 0.005}},
        {"sam": {"variant": "ssam-d", "sparsity": 0.9}},
        {"epochs": 10, "max_attempts": 1},
        {"epochs": 1, "checkpoint_every_epochs": 1, "checkpoint_every_s": None},
    ],
    ids=str,
)
def test_what_may_well_be_meant_is_not_told(spec: dict[str, Any]) -> None:
    assert unusual(JobSpec.parse({"dataset": "digits", **spec})) == []


def test_a_function_has_its_own_usual_values() -> None:
    (advice,) = unusual(JobSpec.parse({**FUNCTION, "sam": {"rho": 0.05}}))

    assert "10 × the usual 0.005 of sam on a function" in advice.detail
