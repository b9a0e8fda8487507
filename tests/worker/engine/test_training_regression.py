"""Regression: values instead of classes, R² instead of accuracy."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import sam
from lowland.spec.reports import EpochEnded, Finished, Started
from lowland.spec.resource import Objective
from tests.worker.engine.running import run, tiny

#: The whole linear problem to train on: 7 steps an epoch.
LINEAR: dict[str, Any] = {"name": "linear", "validation_fraction": 0.0}


def test_r2_is_the_objective_and_there_is_no_accuracy(tmp_path: Path) -> None:
    ended = run(tiny(dataset={"name": "linear", "validation_fraction": 0.2}, epochs=3), tmp_path)

    assert ended.one(Started).training_samples == 80
    best = -float("inf")
    for epoch in ended.all(EpochEnded):
        assert {name for name in epoch.metrics if name.startswith(("train", "validation", "r2"))} == {
            "train_loss",
            "train_r2",
            "train_mse",
            "validation_loss",
            "validation_r2",
            "validation_mse",
            "r2_gap",
        }
        r2 = epoch.metrics["validation_r2"]
        best = max(best, r2)
        assert epoch.metrics["r2_gap"] == epoch.metrics["train_r2"] - r2
        assert (epoch.accuracy, epoch.best_accuracy) == (None, None)
        assert epoch.objective == Objective(name="validation_r2", value=r2, best=best, direction="maximize")
    assert set(ended.result.metrics) == {"test_loss", "test_r2", "test_mse", "test_mae", "selected_epoch"}
    assert ended.result == Finished(
        objective=Objective(name="validation_r2", value=best, best=best, direction="maximize"),
        accuracy=None,
        best_accuracy=None,
        test_accuracy=None,
        metrics=ended.result.metrics,
    )
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["test"]["r2"] == pytest.approx(ended.result.metrics["test_r2"], abs=1e-6)


@pytest.mark.parametrize("variant", ["none", "sam", "ssam-f", "ssam-d", "friendly"])
def test_every_way_of_training_explains_a_linear_problem(tmp_path: Path, variant: str) -> None:
    """Each seed is a problem of its own; in its last epoch."""
    options = {} if variant == "none" else {"rho": 0.5}
    explained: list[float] = []

    for seed in range(4):
        spec = tiny(
            dataset={**LINEAR, "data_seed": seed},
            sam={"variant": variant, **options},
            epochs=20,
            checkpoint_every_epochs=20,
            model="linear",
            seed=seed,
        )
        *_, last = run(spec, tmp_path / str(seed)).all(EpochEnded)
        assert last.step == 20 * 7
        explained.append(last.metrics["train_r2"])

    assert mean(explained) > 0.98


@pytest.mark.parametrize("variant", [name for name in sam.VARIANTS if name != "imbsam"])
def test_every_variant_that_needs_no_classes_trains_without(tmp_path: Path, variant: str) -> None:
    ended = run(tiny(dataset=LINEAR, sam=variant, optimizer="adam", epochs=2), tmp_path)

    first, second = (epoch.metrics["train_loss"] for epoch in ended.all(EpochEnded))
    assert ended.status == 0
    assert second < first
