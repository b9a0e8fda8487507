"""What a run's options do to it: averaged weights, accumulated batches, arithmetic, optimizers, harder labels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch._dynamo.utils import counters

import sam
from lowland.spec.reports import EpochEnded, Started
from tests.worker.engine.running import UNEVEN, Outcome, run, session_in, tiny
from worker.engine.building import build_run
from worker.engine.evaluate import evaluate
from worker.engine.optim import OPTIMIZERS
from worker.engine.ranks import ALONE
from worker.engine.schedules import SCHEDULES, set_learning_rate


def _weights(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def _series(ended: Outcome, name: str) -> list[float]:
    return [epoch.metrics[name] for epoch in ended.all(EpochEnded)]


def _floats(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without BatchNorm's count of batches."""
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def test_the_average_of_the_weights_is_what_is_measured_selected_and_saved(tmp_path: Path) -> None:
    """By hand: the first step's weights and statistics, then nine tenths of the average and one of the latest."""
    fields: dict[str, Any] = {"model": {"name": "cnn", "width": 2}, "precision": "fp32", "sam": "sam", "epochs": 1}
    by_hand = build_run(tiny(**fields), session := session_in(tmp_path))
    by_hand.model.train()
    average: dict[str, Tensor] = {}
    for number, step in enumerate(
        by_hand.batches.epoch(0, skip=0, forward=by_hand.forward, optimizer=by_hand.optimizer)
    ):
        set_learning_rate(by_hand.optimizer, by_hand.learning_rate(number))
        by_hand.optimizer.step_on(step.for_optimizer())
        latest = {name: tensor.clone() for name, tensor in by_hand.model.state_dict().items()}
        average = {name: 0.9 * average[name] + 0.1 * latest[name] for name in latest} if average else latest

    ended = run(tiny(**fields, ema={"decay": 0.9}), tmp_path)

    saved = _weights(tmp_path)
    last = by_hand.model.state_dict()
    torch.testing.assert_close(_floats(saved), {name: average[name] for name in _floats(saved)})
    assert not any(torch.equal(tensor, last[name]) for name, tensor in _floats(saved).items())
    by_hand.model.load_state_dict(saved)
    assert by_hand.parts.validation is not None
    for part, samples in (("validation", by_hand.parts.validation), ("test", by_hand.parts.test)):
        measured = evaluate(by_hand.measured, samples, by_hand.parts, stop=session.stop, ranks=ALONE)
        metrics = {**ended.one(EpochEnded).metrics, **ended.result.metrics}
        assert {name: metrics[name] for name in measured.named(part)} == pytest.approx(measured.named(part), rel=1e-5)


def test_an_average_that_forgets_at_once_is_the_weights_themselves(tmp_path: Path) -> None:
    plain, averaged = (run(tiny(ema=ema), tmp_path / str(ema)) for ema in (None, {"decay": 0.0}))

    assert averaged.weights_sha256 == plain.weights_sha256


@pytest.mark.parametrize("variant", ["none", "sam", "esam"])
def test_accumulated_batches_are_one_large_batch(tmp_path: Path, variant: str) -> None:
    """The last step of an epoch has three batches, the last of which is smaller."""
    dataset = {"name": "digits", "limit": 190, "validation_fraction": 0.2}
    fields: dict[str, Any] = {"dataset": dataset, "precision": "fp32", "sam": variant}

    whole = run(tiny(batch_size=32, **fields), tmp_path / "whole")
    parts = run(tiny(batch_size=8, accumulate=4, **fields), tmp_path / "parts")

    torch.testing.assert_close(_weights(tmp_path / "parts"), _weights(tmp_path / "whole"), rtol=0, atol=1e-6)
    assert [epoch.step for epoch in parts.all(EpochEnded)] == [5, 10]
    for name in ("train_loss", "train_accuracy", "validation_loss"):
        assert _series(parts, name) == pytest.approx(_series(whole, name), rel=1e-5)


def test_half_precision_learns_with_a_scaler(tmp_path: Path) -> None:
    """The first scale is too large for this model: a step is skipped, and the scale halved for those that follow."""
    ended = run(tiny(precision="fp16", sam="sam", epochs=4), tmp_path)

    losses = _series(ended, "train_loss")
    assert ended.one(Started).precision == "fp16"
    assert losses == sorted(losses, reverse=True)
    checkpoint = torch.load(tmp_path / ended.last_checkpoint.name, weights_only=True)
    assert checkpoint["scaler"]["scale"] < 2.0**16
    assert 0 < checkpoint["scaler"]["_growth_tracker"] < 40


def test_a_compiled_model_trains_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLAND_COMPILE_BACKEND", "aot_eager")
    fields: dict[str, Any] = {"precision": "fp32", "sam": "sam", "epochs": 1, "ema": {"decay": 0.5}}
    torch.compiler.reset()
    counters.clear()

    plain, compiled = (run(tiny(**fields, compile=chosen), tmp_path / str(chosen)) for chosen in (False, True))

    assert (plain.status, compiled.status) == (0, 0)
    assert counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(_weights(tmp_path / "True"), _weights(tmp_path / "False"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(tmp_path: Path, optimizer: str) -> None:
    rate = {} if optimizer == "sgd" else {"lr": 0.01}

    ended = run(tiny(optimizer={"name": optimizer, **rate}, sam="sam", epochs=3), tmp_path)

    first, _, last = _series(ended, "train_loss")
    assert last < 0.9 * first


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_the_base_of_every_variant(tmp_path: Path, optimizer: str) -> None:
    """Two of them may have an option of the same name."""
    for variant in sam.VARIANTS:
        base = {"name": optimizer, **({"momentum": 0.5} if optimizer == "rmsprop" else {})}
        options = {"rho": 0.1} if variant == "msam" else {}
        spec = tiny(dataset=UNEVEN, optimizer=base, sam={"variant": variant, **options}, epochs=1, batch_size=80)

        assert run(spec, tmp_path / variant).status == 0, variant


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_learns_and_is_reported(tmp_path: Path, schedule: str) -> None:
    ended = run(tiny(schedule=schedule, epochs=3), tmp_path)

    losses, rates = _series(ended, "train_loss"), _series(ended, "learning_rate")
    run_of = build_run(tiny(schedule=schedule, epochs=3), session_in(tmp_path))
    assert losses[-1] < 0.9 * losses[0]
    assert rates == [run_of.learning_rate(step) for step in (9, 19, 29)]


def test_with_wrong_labels_a_run_says_how_many_of_them_it_knows(tmp_path: Path) -> None:
    """A model this small learns the digits long before it could learn the wrong labels by heart."""
    dataset = {"name": "digits", "limit": 400, "validation_fraction": 0.2, "label_noise": 0.25}

    ended = run(tiny(dataset=dataset, epochs=4), tmp_path)

    last = ended.all(EpochEnded)[-1].metrics
    assert last["train_memorised"] < 0.3
    assert last["train_clean_accuracy"] > last["train_accuracy"] + 0.1
    assert last["validation_accuracy"] > last["train_accuracy"] + 0.1


def test_thinned_out_classes_are_measured_in_groups_and_imbsam_trains_for_the_rare_ones(tmp_path: Path) -> None:
    """Of about 48 digits each the last five keep five."""
    dataset = {
        "name": "digits",
        "limit": 600,
        "validation_fraction": 0.2,
        "imbalance": {"kind": "step", "factor": 10},
    }

    ended = run(tiny(dataset=dataset, sam={"variant": "imbsam", "tail_below": 20}, epochs=3), tmp_path)

    metrics = ended.result.metrics
    assert metrics["test_accuracy_medium"] > metrics["test_accuracy_few"]
    assert "test_accuracy_many" not in metrics
    report = json.loads((tmp_path / "evaluation.json").read_text())["test"]
    sizes = [row["training_samples"] for row in report["classes"]]
    assert all(40 < size < 60 for size in sizes[:5])
    assert sizes[5:] == [5] * 5
    assert ended.one(Started).training_samples == sum(sizes)
    assert report["groups"] == {group: metrics[f"test_accuracy_{group}"] for group in ("medium", "few")}


def test_damaged_test_images_are_measured_beside_the_whole_ones(tmp_path: Path) -> None:
    """Those of the job's choice, the same ones each time."""
    wanted = {"corruptions": ["gaussian_noise", "occlusion"], "severity": 4}
    fields: dict[str, Any] = {"epochs": 4, "precision": "fp32"}

    ended, again, without = (
        run(tiny(**fields, evaluate=evaluation), tmp_path / name)
        for name, evaluation in (("first", wanted), ("again", wanted), ("without", None))
    )

    metrics = ended.result.metrics
    report = json.loads((tmp_path / "first" / "evaluation.json").read_text())
    assert report["corruptions"] == {
        name: {
            "severity": 4,
            "loss": metrics[f"test_{name}_loss"],
            "accuracy": metrics[f"test_{name}_accuracy"],
        }
        for name in ("gaussian_noise", "occlusion")
    }
    assert metrics["test_occlusion_loss"] > metrics["test_loss"]
    assert metrics["test_gaussian_noise_loss"] > metrics["test_loss"]
    assert again.result == ended.result
    assert without.result.metrics == {
        name: value for name, value in metrics.items() if name.split("_")[1] not in {"gaussian", "occlusion"}
    }
    assert "corruptions" not in json.loads((tmp_path / "without" / "evaluation.json").read_text())
