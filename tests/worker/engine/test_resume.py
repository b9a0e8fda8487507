"""Stopped at any step and gone on with, a run ends in the very bits of the run that was never stopped."""

import signal
from pathlib import Path
from typing import Any

import pytest

import sam
from lowland.spec.reports import (
    EXIT_STOPPED,
    Advanced,
    Broken,
    CheckpointWritten,
    EpochEnded,
    Finished,
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


def test_a_process_stopped_twice_by_sigterm_ends_in_the_same_bits(tmp_path: Path) -> None:
    """Real processes, stopped wherever they happen to be."""
    spec = tiny(epochs=100, sam="sam", model={"name": "cnn", "width": 4})
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
