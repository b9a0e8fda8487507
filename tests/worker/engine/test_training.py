"""What training makes of a spec: series, selection, artifacts, and the ways it gives up."""

import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import safetensors.torch
import sklearn.datasets
import torch

import sam
from lowland.networks import MODELS, ImageShape, Vector
from lowland.spec.job import JobSpec
from lowland.spec.reports import Advanced, ArtifactWritten, Broken, EpochEnded, Finished, Started
from lowland.spec.resource import Objective
from tests.worker.engine.running import UNEVEN, run, session_in, tiny
from worker.engine.building import build_run
from worker.engine.data import DATASETS
from worker.engine.evaluate import evaluate
from worker.engine.ranks import ALONE
from worker.engine.revision import git_revision
from worker.engine.settings import EngineSettings

SERIES = {
    "train_loss",
    "train_accuracy",
    "learning_rate",
    "gradient_norm",
    "weight_norm_squared",
    "samples_per_s",
    "epoch_s",
}


#: MSAM's own radius is for models many times as large.
SUITED: dict[str, Any] = {**{name: name for name in sam.VARIANTS}, "msam": {"variant": "msam", "rho": 0.3}}


@pytest.mark.parametrize("variant", SUITED.values(), ids=SUITED)
def test_a_small_model_learns_the_digits_with_every_variant(tmp_path: Path, variant: Any) -> None:
    model = {"name": "mlp", "width": 64}

    ended = run(tiny(dataset="digits", model=model, sam=variant, batch_size=64, epochs=6), tmp_path)

    assert ended.status == 0
    assert ended.result.test_accuracy is not None
    assert ended.result.test_accuracy > 0.9


@pytest.mark.parametrize("variant", sam.VARIANTS)
def test_every_variant_trains_a_model_with_batch_norm(tmp_path: Path, variant: str) -> None:
    ended = run(tiny(dataset=UNEVEN, model={"name": "cnn", "width": 4}, epochs=1, sam=variant), tmp_path)

    assert ended.status == 0


def test_a_variant_is_the_base_optimizer_outside_the_part_of_the_run_it_is_active_in(tmp_path: Path) -> None:
    late = {"variant": "sam", "rho": 0.5, "active": {"from": 0.5}}

    plain, sharp = (run(tiny(sam=variant), tmp_path / str(n)) for n, variant in enumerate(("none", late)))

    first, second = ([epoch.metrics["validation_loss"] for epoch in ended.all(EpochEnded)] for ended in (plain, sharp))
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_data_that_a_variant_cannot_train_on_end_the_run_for_good(tmp_path: Path) -> None:
    """Two of each class: none is rare."""
    balanced = {"name": "digits", "limit": 20, "validation_fraction": 0.0}

    ended = run(tiny(sam="imbsam", dataset=balanced), tmp_path)

    report = ended.one(Broken)
    assert ended.status == 1
    assert (report.type, report.permanent) == ("variant-unsuited", True)
    assert report.detail.startswith('sam.variant is "imbsam", which cannot train on this dataset: ')
    assert report.detail.endswith(
        "Give another variant, other options of it, or a dataset that suits it; dataset.imbalance makes classes rare."
    )


def test_the_run_says_what_it_trains_on_what(tmp_path: Path) -> None:
    ended = run(tiny(), tmp_path)

    assert ended.one(Started) == Started(
        device="cpu",
        precision=ended.one(Started).precision,
        parameters=64 * 16 + 16 + 16 * 10 + 10,
        training_samples=160,
        resumed_step=0,
    )


def test_every_epoch_reports_all_series_and_the_objective(tmp_path: Path) -> None:
    ended = run(tiny(epochs=3), tmp_path)

    epochs = ended.all(EpochEnded)
    assert [(epoch.epoch, epoch.step) for epoch in epochs] == [(1, 10), (2, 20), (3, 30)]
    best = 0.0
    for epoch in epochs:
        assert set(epoch.metrics) == SERIES | {"validation_loss", "validation_accuracy", "accuracy_gap"}
        accuracy = epoch.metrics["validation_accuracy"]
        best = max(best, accuracy)
        assert (epoch.accuracy, epoch.best_accuracy) == (accuracy, best)
        assert epoch.objective == Objective(name="validation_accuracy", value=accuracy, best=best, direction="maximize")


def test_without_a_validation_part_the_training_loss_is_the_objective_and_the_last_weights_are_selected(
    tmp_path: Path,
) -> None:
    spec = tiny(dataset={"name": "digits", "limit": 160, "validation_fraction": 0.0}, epochs=3)

    ended = run(spec, tmp_path)

    losses = [epoch.metrics["train_loss"] for epoch in ended.all(EpochEnded)]
    assert all(set(epoch.metrics) == SERIES for epoch in ended.all(EpochEnded))
    assert ended.result == Finished(
        objective=Objective(name="train_loss", value=losses[-1], best=min(losses), direction="minimize"),
        accuracy=None,
        best_accuracy=None,
        test_accuracy=ended.result.test_accuracy,
        metrics={**ended.result.metrics, "selected_epoch": 3.0},
    )


def test_the_weights_with_the_best_validation_accuracy_are_selected_the_later_of_two_equals(tmp_path: Path) -> None:
    """A learning rate this high makes the accuracy jump about."""
    spec = tiny(epochs=12, optimizer={"name": "sgd", "lr": 0.8}, schedule="constant", precision="fp32")

    ended = run(spec, tmp_path)

    accuracies = [epoch.metrics["validation_accuracy"] for epoch in ended.all(EpochEnded)]
    best = max(accuracies)
    selected = max(epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy == best)
    assert accuracies[-1] < best
    assert ended.result.metrics["selected_epoch"] == selected
    assert (ended.result.accuracy, ended.result.best_accuracy) == (best, best)
    assert ended.result.objective.value == best


def test_the_artifacts_are_the_selected_weights_a_manifest_and_the_series(tmp_path: Path) -> None:
    spec = tiny(epochs=3, model={"name": "cnn", "width": 4})

    ended = run(spec, tmp_path)

    artifacts = {artifact.name: artifact for artifact in ended.all(ArtifactWritten)}
    assert {name: artifact.media_type for name, artifact in artifacts.items()} == {
        "model.safetensors": "application/octet-stream",
        "evaluation.json": "application/json",
        "manifest.json": "application/json",
        "metrics.jsonl": "application/jsonl",
    }
    for name, artifact in artifacts.items():
        raw = (tmp_path / name).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (artifact.size_bytes, artifact.sha256)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"epoch": e.epoch, "step": e.step, **e.metrics} for e in ended.all(EpochEnded)]


def test_the_saved_weights_give_the_reported_test_accuracy(tmp_path: Path) -> None:
    spec = tiny(epochs=3, model={"name": "cnn", "width": 4}, precision="fp32")
    ended = run(spec, tmp_path)
    session = session_in(tmp_path)
    fresh = build_run(spec, session)

    fresh.model.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    measured = evaluate(fresh.measured, fresh.parts.test, fresh.parts, stop=session.stop, ranks=ALONE)

    assert measured.metrics == {"accuracy": ended.result.test_accuracy}
    assert measured.loss == pytest.approx(ended.result.metrics["test_loss"], rel=1e-5)


def test_the_manifest_says_everything_the_run_was_made_from(tmp_path: Path) -> None:
    spec = tiny(seed=7)

    ended = run(spec, tmp_path)

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    resolved = spec.model_dump(mode="json")
    canonical = json.dumps(resolved, sort_keys=True, separators=(",", ":"))
    digits = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
    assert manifest == {
        "spec": resolved,
        "spec_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "seed": 7,
        "device": "cpu",
        "device_name": platform.machine(),
        "precision": ended.one(Started).precision,
        "parameters": 64 * 16 + 16 + 16 * 10 + 10,
        "samples": {"training": 160, "validation": 40, "test": 359},
        "classes": [str(digit) for digit in range(10)],
        "input_shape": [1, 8, 8],
        "features": None,
        "normalised": {"inputs": {"mean": [ANY], "std": [ANY]}, "targets": None},
        "data_sha256": {"digits.csv.gz": hashlib.sha256(digits.read_bytes()).hexdigest()},
        "warm_start": None,
        "objective": ended.result.objective.model_dump(),
        "metrics": ended.result.metrics,
        "versions": manifest["versions"],
        "git_revision": git_revision(),
    }
    assert manifest["versions"]["torch"] == torch.__version__


SHAPES = {"digits": ImageShape(channels=1, height=8, width=8), "diabetes": Vector(values=10)}


@pytest.mark.parametrize(("name", "metric"), [("digits", "test_accuracy"), ("diabetes", "test_mse")])
def test_weights_and_manifest_are_enough_to_answer_as_the_run_did(tmp_path: Path, name: str, metric: str) -> None:
    spec = tiny(dataset=name, model={"name": "mlp", "width": 16}, epochs=3, precision="fp32")
    ended = run(spec, tmp_path)
    assert spec.dataset is not None
    data = DATASETS[spec.dataset.name](spec.dataset, EngineSettings())
    ((inputs, targets),) = data.test.batches(len(data.test))

    normalised = json.loads((tmp_path / "manifest.json").read_text())["normalised"]
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    model = MODELS["mlp"](SHAPES[name], 10 if name == "digits" else 1, **spec.model.options())
    model.load_state_dict(weights)
    mean, std = (torch.tensor(normalised["inputs"][key]) for key in ("mean", "std"))
    with torch.no_grad():
        answers = model.eval()((inputs.float() - mean) / std)
    if name == "digits":
        found = (answers.argmax(1) == targets).double().mean()
    else:
        scale = normalised["targets"]
        found = (answers[:, 0] * scale["std"] + scale["mean"] - targets).square().mean()

    assert float(found) == pytest.approx(ended.result.metrics[metric], rel=1e-5)


def test_the_spec_in_the_manifest_makes_the_same_weights(tmp_path: Path) -> None:
    first = run(tiny(sam="sam", epochs=1), tmp_path / "first")
    manifest = json.loads((tmp_path / "first" / "manifest.json").read_text())

    again = run(JobSpec.parse(manifest["spec"]), tmp_path / "again")

    assert again.weights_sha256 == first.weights_sha256


#: Thirty features, as the tumours have; a regression has another head than two classes.
_THIRTY: dict[str, Any] = {"name": "linear", "variables": 30}


def test_a_run_can_start_from_the_weights_of_another_with_a_head_of_its_own(tmp_path: Path) -> None:
    """Shown with a learning rate that moves nothing."""
    run(tiny(dataset=_THIRTY, epochs=1), tmp_path / "first")
    given = tmp_path / "first" / "model.safetensors"
    spec = tiny(
        dataset="breast-cancer",
        model={"name": "mlp", "width": 16, "depth": 1, "init_from": {"job": "another"}},
        optimizer={"name": "sgd", "lr": 1e-30},
        epochs=1,
    )

    ended = run(spec, tmp_path / "second", weights=given)

    before, after = (safetensors.torch.load_file(tmp_path / name / given.name) for name in ("first", "second"))
    assert ended.status == 0
    assert all(torch.equal(after[name], before[name]) for name in ("1.weight", "1.bias"))
    assert [tuple(after[name].shape) for name in ("4.weight", "4.bias")] == [(2, 16), (2,)]
    assert json.loads((tmp_path / "second" / "manifest.json").read_text())["warm_start"] == {
        "taken": 2,
        "replaced": ["4.weight", "4.bias"],
        "from": {"job": "another", "artifact": "best"},
    }


def test_a_run_that_is_to_start_from_weights_nobody_gave_is_broken_for_good(tmp_path: Path) -> None:
    ended = run(tiny(model={"name": "mlp", "width": 16, "depth": 1, "init_from": {"job": "another"}}), tmp_path)

    report = ended.one(Broken)
    assert (report.type, report.permanent) == ("spec-invalid", True)
    assert report.detail == "model.init_from wants another job's weights; give their file with --weights"


def test_the_same_spec_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (
        run(tiny(seed=seed, sam="sam"), tmp_path / name).weights_sha256
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )

    assert first == again
    assert first != other


def test_a_learning_rate_that_is_far_too_high_ends_the_run_for_good(tmp_path: Path) -> None:
    ended = run(tiny(optimizer={"name": "sgd", "lr": 1e30}, schedule="constant", epochs=5), tmp_path)

    report = ended.one(Broken)
    assert ended.status == 1
    assert (report.type, report.permanent) == ("loss-not-finite", True)
    assert "at step " in report.detail
    assert "the learning rate is 1e+30" in report.detail


def test_a_gpu_that_is_not_there_may_be_elsewhere(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    ended = run(tiny(resources={"device": "cuda"}), tmp_path)

    report = ended.one(Broken)
    assert (report.type, report.permanent) == ("device-unavailable", False)


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "bf16"},
        {"channels_last": False},
        {"deterministic": False},
        {"optimizer": {"name": "adamw"}, "clip_norm": 1.0},
        {"label_smoothing": 0.2, "sam": {"variant": "sam", "p": "inf"}},
        {"batch_size": 1000},
        {"batch_size": 53},
    ],
    ids=", ".join,
)
def test_every_setting_trains(tmp_path: Path, fields: dict[str, Any]) -> None:
    spec = tiny(**{"epochs": 1, "sam": "sam", "model": {"name": "cnn", "width": 4}, **fields})

    ended = run(spec, tmp_path)

    assert ended.status == 0
    assert ended.one(EpochEnded).metrics["train_loss"] > 0


def test_label_smoothing_is_in_the_training_loss_and_not_in_the_validation_loss(tmp_path: Path) -> None:
    """With half of the probability spread out no loss can be small, however well the digits are known."""
    options = {"model": {"name": "mlp", "width": 64}, "epochs": 8, "label_smoothing": 0.5}

    metrics = run(tiny(**options), tmp_path).all(EpochEnded)[-1].metrics

    assert metrics["train_loss"] > 1.4
    assert metrics["validation_loss"] < 1.3


def test_torch_is_left_as_it_was_found(tmp_path: Path) -> None:
    assert not torch.are_deterministic_algorithms_enabled()

    run(tiny(epochs=1), tmp_path)

    assert not torch.are_deterministic_algorithms_enabled()


def test_progress_is_reported_a_few_times_a_second_at_most(tmp_path: Path) -> None:
    began_at = time.monotonic()

    ended = run(tiny(epochs=30), tmp_path)

    seconds = time.monotonic() - began_at
    assert len(ended.all(Advanced)) <= seconds * 4 + 3
    last = ended.all(Advanced)[-1].progress
    assert (last.step, last.steps, last.epoch, last.epochs, last.fraction) == (300, 300, 30, 30, 1.0)
