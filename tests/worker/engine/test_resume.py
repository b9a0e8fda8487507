"""Stopped at any step and gone on with, a run ends in the very bits of the run that was never stopped."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import sam
from lowland.spec.reports import (
    EXIT_STOPPED,
    Advanced,
    Broken,
    CheckpointWritten,
    EpochEnded,
    Finished,
    Noticed,
    Report,
    Started,
)
from tests.worker.engine.running import UNEVEN, ForkedEngine, Outcome, run, tiny

#: After every step.
_ALWAYS = 1e-9


def _checkpoint_of_step(step: int) -> Any:
    def reached(report: Report) -> bool:
        return isinstance(report, CheckpointWritten) and report.step == step

    return reached


def _without_timings(outcome: Outcome) -> list[dict[str, Any]]:
    timings = {"samples_per_s", "epoch_s"}
    return [
        {**report.model_dump(), "metrics": {k: v for k, v in report.metrics.items() if k not in timings}}
        for report in outcome.reports
        if isinstance(report, EpochEnded | Finished)
    ]


_JOBS: dict[str, dict[str, Any]] = {
    "plain mlp": {},
    "sam, BatchNorm, shifts": {
        "sam": "sam",
        "model": {"name": "cnn", "width": 4},
        "dataset": {"name": "digits", "limit": 200, "validation_fraction": 0.2, "augment": "shift"},
    },
    "adaptive sam, adamw, clipping, label smoothing, no validation": {
        "sam": {"variant": "sam", "rho": 0.5, "adaptive": True},
        "optimizer": {"name": "adamw"},
        "model": {"name": "resnet9", "width": 2},
        "dataset": {"name": "digits", "limit": 160, "validation_fraction": 0.0, "augment": "cutout"},
        "clip_norm": 0.5,
        "label_smoothing": 0.1,
    },
}


@pytest.mark.parametrize("step", [1, 7, 10, 13], ids=["first step", "mid-epoch", "epoch's last step", "second epoch"])
@pytest.mark.parametrize("fields", _JOBS.values(), ids=_JOBS.keys())
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, fields: dict[str, Any], step: int) -> None:
    spec = tiny(**fields)
    whole = run(spec, tmp_path / "whole")

    first = run(tiny(**fields, checkpoint_every_s=_ALWAYS), tmp_path / "first", stop_at=_checkpoint_of_step(step))
    second = run(spec, tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert first.status == EXIT_STOPPED
    assert first.last_checkpoint.step == step
    assert second.one(Started).resumed_step == step
    assert second.weights_sha256 == whole.weights_sha256
    assert (_without_timings(first) + _without_timings(second)) == _without_timings(whole)


#: Every variant, with options that make it remember something, and those of SAM that make it another program.
_VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"variant": name} for name in sam.VARIANTS},
    "ssam-f": {"variant": "ssam-f", "num_samples": 20, "rho": {"schedule": "cosine", "value": 0.2, "end": 0.01}},
    "ssam-d": {"variant": "ssam-d", "sparsity": 0.3},
    "msam": {"variant": "msam", "rho": 0.2},
    "looksam, every second step": {"variant": "looksam", "k": 3, "active": {"every": 2}},
    "sam, second order": {"variant": "sam", "second_order": True},
    "sam, shards": {"variant": "sam", "shard_size": 5},
    "friendly, middle of the run": {"variant": "friendly", "active": {"from": 0.2, "until": 0.8}},
}


@pytest.mark.parametrize("variant", _VARIANTS.values(), ids=_VARIANTS.keys())
def test_every_variant_goes_on_to_the_same_bits(tmp_path: Path, variant: dict[str, Any]) -> None:
    """Stopped in mid-epoch, after an update of the masks, and read back as plain tensors and numbers."""
    fields = {"sam": variant, "dataset": UNEVEN, "checkpoint_every_s": _ALWAYS}
    whole = run(tiny(**fields), tmp_path / "whole")

    first = run(tiny(**fields), tmp_path / "first", stop_at=_checkpoint_of_step(13))
    second = run(tiny(**fields), tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert (first.status, second.status) == (EXIT_STOPPED, 0)
    assert second.one(Started).resumed_step == 13
    assert second.weights_sha256 == whole.weights_sha256
    assert (_without_timings(first) + _without_timings(second)) == _without_timings(whole)


#: What else a run remembers from step to step, and the step it is stopped after.
_REMEMBERING: dict[str, tuple[int, dict[str, Any]]] = {
    "average of weights and of BatchNorm's statistics": (
        13,
        {"ema": {"decay": 0.9}, "model": {"name": "cnn", "width": 4}, "sam": "sam"},
    ),
    "accumulated batches, label noise, imbalance": (
        4,
        {
            "accumulate": 2,
            "sam": "friendly",
            "dataset": {**UNEVEN, "label_noise": 0.2, "imbalance": {"factor": 4}},
        },
    ),
    "half precision with a scaler": (13, {"precision": "fp16", "sam": "gsam"}),
    "regression": (
        7,
        {"dataset": {"name": "linear", "validation_fraction": 0.2}, "sam": "ssam-d", "optimizer": "adam"},
    ),
    "muon, one-cycle, dropout": (
        13,
        {
            "model": {"name": "mlp", "width": 16, "depth": 2, "dropout": 0.2},
            "optimizer": "muon",
            "schedule": "one-cycle",
            "sam": "esam",
        },
    ),
    "rmsprop, steps, one of three epochs waited": (
        25,
        {
            "optimizer": "rmsprop",
            "schedule": "step",
            "epochs": 12,
            "stop": {"patience": 3, "min_delta": 100, "metric": "train_loss"},
        },
    ),
}


@pytest.mark.parametrize(("step", "fields"), _REMEMBERING.values(), ids=_REMEMBERING)
def test_whatever_a_run_remembers_it_goes_on_to_the_same_bits(
    tmp_path: Path, step: int, fields: dict[str, Any]
) -> None:
    spec = tiny(**fields, checkpoint_every_s=_ALWAYS)
    whole = run(spec, tmp_path / "whole")

    first = run(spec, tmp_path / "first", stop_at=_checkpoint_of_step(step))
    second = run(spec, tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert (first.status, second.status) == (EXIT_STOPPED, 0)
    assert second.one(Started).resumed_step == step
    assert second.weights_sha256 == whole.weights_sha256
    assert (_without_timings(first) + _without_timings(second)) == _without_timings(whole)
    assert _scaler(tmp_path / "second", second) == _scaler(tmp_path / "whole", whole)
    assert second.result.stop_reason == ("patience" if spec.stop else None)


def _scaler(out: Path, outcome: Outcome) -> dict[str, float] | None:
    """The loss scaler in the last checkpoint; it counts steps, and shows in the weights only where it overflows."""
    return torch.load(out / outcome.last_checkpoint.name, weights_only=True)["scaler"]


def test_a_run_stopped_between_an_epochs_last_step_and_its_measurement_has_seen_that_step(tmp_path: Path) -> None:
    """What was looked at closely is in the epoch's series, whoever measures it."""
    whole = run(tiny(sam="sam"), tmp_path / "whole")

    first = run(tiny(sam="sam"), tmp_path / "first", stop_at=_progress_of_step(20))
    second = run(tiny(sam="sam"), tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert (first.last_checkpoint.step, first.last_checkpoint.epoch) == (20, 1)
    assert (_without_timings(first) + _without_timings(second)) == _without_timings(whole)


def _progress_of_step(step: int) -> Any:
    def reached(report: Report) -> bool:
        return isinstance(report, Advanced) and report.progress.step == step

    return reached


@pytest.fixture
def two_checkpoints(tmp_path: Path) -> list[Path]:
    """Of steps 13 and 12 of the tiny job, the latest first."""
    first = run(tiny(checkpoint_every_s=_ALWAYS), tmp_path / "first", stop_at=_checkpoint_of_step(13))
    latest, before = reversed(first.all(CheckpointWritten)[-2:])
    return [tmp_path / "first" / latest.name, tmp_path / "first" / before.name]


def test_where_the_latest_checkpoint_is_damaged_the_one_before_is_used_and_that_is_said(
    tmp_path: Path, two_checkpoints: list[Path]
) -> None:
    latest, _ = two_checkpoints
    latest.write_bytes(latest.read_bytes()[:-100])

    whole, second = run(tiny(), tmp_path / "whole"), run(tiny(), tmp_path / "second", resume=two_checkpoints)

    noticed = second.one(Noticed)
    assert noticed.type == "checkpoint-damaged"
    assert noticed.detail.startswith(f"{latest.name}: is damaged or incomplete (")
    assert noticed.detail.endswith("); the one before is used")
    assert second.one(Started).resumed_step == 12
    assert second.weights_sha256 == whole.weights_sha256


def test_a_later_checkpoint_is_not_looked_at_where_the_first_is_whole(
    tmp_path: Path, two_checkpoints: list[Path]
) -> None:
    _, before = two_checkpoints
    before.unlink()

    second = run(tiny(), tmp_path / "second", resume=two_checkpoints)

    assert second.all(Noticed) == []
    assert second.one(Started).resumed_step == 13


def test_where_all_checkpoints_are_damaged_the_run_ends_for_good(tmp_path: Path, two_checkpoints: list[Path]) -> None:
    for path in two_checkpoints:
        path.write_bytes(path.read_bytes()[:-100])

    second = run(tiny(), tmp_path / "second", resume=two_checkpoints)

    report = second.one(Broken)
    assert len(second.all(Noticed)) == 1
    assert second.status == 1
    assert (report.type, report.permanent) == ("checkpoint-unusable", True)
    assert report.detail.startswith(f"{two_checkpoints[-1].name}: is damaged or incomplete (")


def test_a_whole_checkpoint_of_another_job_is_not_passed_over(tmp_path: Path, two_checkpoints: list[Path]) -> None:
    """To train something else from an older one would be worse than to fail."""
    second = run(tiny(seed=5), tmp_path / "second", resume=two_checkpoints)

    assert second.all(Noticed) == []
    assert second.one(Broken).detail.startswith(f"{two_checkpoints[0].name}: belongs to another job: seed differ")


def test_a_process_stopped_twice_by_sigterm_ends_in_the_same_bits(tmp_path: Path) -> None:
    """Real processes, stopped wherever they happen to be."""
    spec = tiny(epochs=30, sam="sam", model={"name": "cnn", "width": 4})
    whole = ForkedEngine(spec, tmp_path / "whole")
    first = ForkedEngine(spec, tmp_path / "first")
    first.wait_for(lambda report: isinstance(report, Advanced), "the first step")
    first.signal(signal.SIGTERM)
    checkpoint = tmp_path / "first" / first.ended().last_checkpoint.name

    second = ForkedEngine(spec, tmp_path / "second", resume=[checkpoint])
    second.wait_for(lambda report: isinstance(report, EpochEnded), "an epoch")
    second.signal(signal.SIGTERM)
    stopped = second.ended()
    third = ForkedEngine(spec, tmp_path / "third", resume=[tmp_path / "second" / stopped.last_checkpoint.name])

    assert stopped.status == EXIT_STOPPED
    assert third.ended().weights_sha256 == whole.ended().weights_sha256


def test_a_run_stopped_after_its_last_epoch_only_measures_and_hands_over(tmp_path: Path) -> None:
    whole = run(tiny(), tmp_path / "whole")
    checkpoint = tmp_path / "whole" / whole.last_checkpoint.name

    again = run(tiny(), tmp_path / "again", resume=checkpoint)

    assert again.status == 0
    assert again.all(EpochEnded) == []
    assert again.result == whole.result
    assert again.weights_sha256 == whole.weights_sha256


def test_the_checkpoint_that_was_resumed_from_is_left_where_it_lies(tmp_path: Path) -> None:
    first = run(tiny(), tmp_path / "first", stop_at=_checkpoint_of_step(10))
    checkpoint = tmp_path / "first" / first.last_checkpoint.name
    before = checkpoint.read_bytes()

    run(tiny(), tmp_path / "second", resume=checkpoint)

    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": {"name": "mlp", "width": 8, "depth": 1}}, "model"),
        ({"optimizer": {"name": "adamw"}}, "optimizer"),
        ({"seed": 5}, "seed"),
        ({"dataset": {"name": "digits", "limit": 100}, "epochs": 3}, "dataset, epochs, schedule"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    first = run(tiny(epochs=1), tmp_path / "first")

    other = run(
        tiny(**{"epochs": 1, **fields}),
        tmp_path / "second",
        resume=tmp_path / "first" / first.last_checkpoint.name,
    )

    report = other.one(Broken)
    assert other.status == 1
    assert report.type == "checkpoint-unusable"
    assert report.permanent
    assert f"belongs to another job: {named} differ" in report.detail


def test_what_does_not_decide_the_weights_may_differ(tmp_path: Path) -> None:
    first = run(tiny(), tmp_path / "first", stop_at=_checkpoint_of_step(10))

    second = run(
        tiny(name="renamed", priority=3, checkpoint_every_epochs=2, max_attempts=7),
        tmp_path / "second",
        resume=tmp_path / "first" / first.last_checkpoint.name,
    )

    assert second.status == 0
