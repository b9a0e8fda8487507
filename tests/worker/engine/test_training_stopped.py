"""Runs that a stop rule ends: early, as a success, with the best weights so far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.spec.reports import Advanced, CheckpointWritten, EpochEnded
from tests.worker.engine.running import run, tiny

#: A learning rate this high makes the accuracy jump about.
RESTLESS: dict[str, Any] = {
    "optimizer": {"name": "sgd", "lr": 0.8},
    "schedule": "constant",
    "precision": "fp32",
    "epochs": 12,
}


def test_a_run_goes_to_its_end_unless_a_rule_holds(tmp_path: Path) -> None:
    without, unreached = (
        run(tiny(stop=stop), tmp_path / str(number))
        for number, stop in enumerate((None, {"target": 1.0, "patience": 9}))
    )

    assert (without.result.stop_reason, unreached.result.stop_reason) == (None, None)
    assert unreached.weights_sha256 == without.weights_sha256


def test_the_progress_of_a_run_that_a_rule_ended_is_its_last_step(tmp_path: Path) -> None:
    ended = run(tiny(**RESTLESS, stop={"patience": 1, "min_delta": 1.0}), tmp_path)

    last_epoch, last = ended.all(EpochEnded)[-1], ended.all(Advanced)[-1].progress
    assert ended.result.stop_reason == "patience"
    assert (last.epoch, last.step) == (last_epoch.epoch, last_epoch.step)
    assert last.step < last.steps


def test_patience_ends_it_with_the_weights_it_did_not_better(tmp_path: Path) -> None:
    """The epochs are the first of those of the run that goes on; of these the best one is handed over."""
    whole = run(tiny(**RESTLESS), tmp_path / "whole")
    accuracies = [epoch.metrics["validation_accuracy"] for epoch in whole.all(EpochEnded)]

    ended = run(tiny(**RESTLESS, stop={"patience": 2}), tmp_path / "ended")

    seen = [epoch.metrics["validation_accuracy"] for epoch in ended.all(EpochEnded)]
    assert (ended.status, ended.result.stop_reason) == (0, "patience")
    assert len(seen) < len(accuracies)
    assert seen == accuracies[: len(seen)]
    assert _waited(seen) == 2
    assert all(_waited(seen[:epochs]) < 2 for epochs in range(1, len(seen)))
    best = max(seen)
    assert ended.result.accuracy == best
    assert ended.result.metrics["selected_epoch"] == max(n for n, accuracy in enumerate(seen, 1) if accuracy == best)


def _waited(accuracies: Sequence[float]) -> int:
    """Epochs since the first one that was as good as any."""
    return len(accuracies) - 1 - accuracies.index(max(accuracies))


@pytest.mark.parametrize(
    ("stop", "dataset"),
    [
        ({"target": 0.2}, {}),
        ({"target": 2.3, "metric": "validation_loss"}, {}),
        ({"target": 2.3, "metric": "train_loss"}, {"validation_fraction": 0.0}),
        ({"target": 2.3}, {"validation_fraction": 0.0}),
    ],
    ids=["objective", "validation loss", "training loss", "objective without a validation part"],
)
def test_a_target_ends_it_in_the_epoch_that_reaches_it(
    tmp_path: Path, stop: dict[str, Any], dataset: dict[str, Any]
) -> None:
    spec = tiny(stop=stop, dataset={"name": "digits", "limit": 200, "validation_fraction": 0.2, **dataset}, epochs=5)

    ended = run(spec, tmp_path)

    assert (ended.status, ended.result.stop_reason) == (0, "target")
    assert len(ended.all(EpochEnded)) < 5


def test_out_of_time_the_epoch_under_way_is_measured_and_counts(tmp_path: Path) -> None:
    """A step is always taken."""
    ended = run(tiny(stop={"max_seconds": 1e-9}), tmp_path)

    epoch = ended.one(EpochEnded)
    assert (ended.status, ended.result.stop_reason) == (0, "max_seconds")
    assert (epoch.epoch, epoch.step) == (1, 1)
    assert ended.result.accuracy == epoch.metrics["validation_accuracy"]
    assert ended.result.metrics["selected_epoch"] == 1.0
    assert ended.last_checkpoint.step == 1


@pytest.mark.parametrize("stop", [{"max_seconds": 1e-9}, {"target": 0.0}], ids=["out of time", "target"])
def test_a_run_that_a_rule_has_ended_does_not_go_on_from_its_checkpoint(tmp_path: Path, stop: dict[str, Any]) -> None:
    first = run(tiny(stop=stop), tmp_path / "first")

    second = run(tiny(stop=stop), tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert second.all(EpochEnded) == []
    assert second.result == first.result
    assert second.weights_sha256 == first.weights_sha256


def test_time_is_that_of_all_attempts(tmp_path: Path) -> None:
    """The first attempt is made to have trained for as long as is allowed: the next one takes no step."""
    spec = tiny(stop={"max_seconds": 1000}, checkpoint_every_s=1e-9)
    first = run(spec, tmp_path, stop_at=lambda report: isinstance(report, CheckpointWritten) and report.step == 7)
    path = tmp_path / first.last_checkpoint.name
    contents = torch.load(path, weights_only=True)
    contents["ranks"][0]["sums"]["seconds"] = 1000.0
    torch.save(contents, path)

    ended = run(spec, tmp_path / "second", resume=path)

    assert (ended.one(EpochEnded).step, ended.result.stop_reason) == (7, "max_seconds")
