"""Several data-parallel processes train as one does, stop at the same step, and go on as if they had not."""

import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import sam
from lowland.spec.job import JobSpec
from lowland.spec.reports import EXIT_STOPPED, Advanced, CheckpointWritten, EpochEnded, Report, Started
from tests.worker.engine.grouped import ENDLESS, GroupedEngine, has_stepped, in_ranks, told_of
from tests.worker.engine.running import Outcome, session_in
from worker.engine.building import build_run
from worker.engine.launch import joined
from worker.engine.ranks import Ranks

#: What has no one value where processes look at their own shares, and what the clock decides.
_OWN = {"samples_per_s", "epoch_s", "gradient_norm", "perturbation_norm", "rise", "predicted_rise"}
#: 14 batches of 14, or 12 of 15 and one of 16: shares that are even, or not.
_EVEN: dict[str, Any] = {"dataset": {"name": "digits", "limit": 196, "validation_fraction": 0.0}, "batch_size": 14}
_ODD: dict[str, Any] = {**_EVEN, "batch_size": 15}
#: What the variants' own defaults do not show in a few steps of a small model.
_OPTIONS: dict[str, dict[str, Any]] = {"msam": {"rho": 0.2}, "ssam-f": {"num_samples": 20}}


def _synchronised(variant: str) -> dict[str, Any]:
    return {
        "variant": variant,
        **({} if variant == "none" else {"sync_perturbation": True}),
        **_OPTIONS.get(variant, {}),
    }


def _weights(out: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(out / "model.safetensors")


def _common(outcome: Outcome) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.metrics.items() if name not in _OWN} for epoch in outcome.all(EpochEnded)
    ]


_JOBS: dict[str, dict[str, Any]] = {
    **{f"{name}, odd shares": {**_ODD, "sam": _synchronised(name)} for name in sam.VARIANTS},
    **{f"{name}, even shares": {**_EVEN, "sam": _synchronised(name)} for name in ("sam", "esam")},
    **{
        f"{name}, several batches a step": {**_ODD, "batch_size": size, "accumulate": 4, "sam": _synchronised(name)}
        for name, size in (("sam", 5), ("imbsam", 5), ("esam", 7))
    },
    "three processes": {**_ODD, "sam": _synchronised("friendly"), "ranks": 3},
    "fewer samples in the last batch than processes": {
        **_ODD,
        "dataset": {"name": "digits", "limit": 197, "validation_fraction": 0.0},
        "sam": _synchronised("sam"),
        "ranks": 3,
    },
    "average, clipping, smoothing, adamw": {
        "sam": _synchronised("sam"),
        "ema": {"decay": 0.9},
        "clip_norm": 0.5,
        "label_smoothing": 0.1,
        "optimizer": "adamw",
    },
    "wrong labels": {"dataset": {"name": "digits", "limit": 201, "validation_fraction": 0.2, "label_noise": 0.3}},
    "regression": {
        "dataset": {"name": "linear", "samples": 101, "validation_fraction": 0.2},
        "sam": _synchronised("sam"),
    },
}


@pytest.mark.parametrize("fields", _JOBS.values(), ids=_JOBS.keys())
def test_ranks_that_share_everything_train_as_one_process_does(fields: dict[str, Any], tmp_path: Path) -> None:
    ranks = fields.get("ranks", 2)
    fields = {name: value for name, value in fields.items() if name != "ranks"}
    one = GroupedEngine(in_ranks(1, **fields), tmp_path / "one")
    several = GroupedEngine(in_ranks(ranks, **fields), tmp_path / "several")

    alone, together = one.ended(), several.ended()

    assert (alone.status, together.status) == (0, 0)
    torch.testing.assert_close(_weights(tmp_path / "several"), _weights(tmp_path / "one"), rtol=0, atol=1e-6)
    assert _common(together) == [pytest.approx(metrics, rel=1e-4, abs=1e-6) for metrics in _common(alone)]


_LOCAL: dict[str, JobSpec] = {
    **{name: in_ranks(2, **_ODD, sam={"variant": name, **_OPTIONS.get(name, {})}) for name in sam.VARIANTS},
    "fp16": in_ranks(2, **_ODD, sam="sam", precision="fp16"),
    "several batches a step": in_ranks(2, **{**_ODD, "batch_size": 5, "accumulate": 4}, sam="esam"),
}


@pytest.fixture(scope="module")
def both_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    """What each of two ranks has after an epoch in which every one of them made its own perturbations."""
    out = tmp_path_factory.mktemp("ranks")
    assert told_of(2, partial(_train_locally, out), out) is None
    return [torch.load(out / f"{rank}.pt") for rank in range(2)]


def _train_locally(out: Path, rank: int) -> None:
    torch.set_num_threads(1)
    with joined(rank, 2, out / "store", device="cpu") as ranks:
        torch.save({name: _after_an_epoch(spec, out, ranks) for name, spec in _LOCAL.items()}, out / f"{rank}.pt")


def _after_an_epoch(spec: JobSpec, out: Path, ranks: Ranks) -> dict[str, Any]:
    run = build_run(spec, replace(session_in(out), ranks=ranks))
    for step in run.batches.epoch(0, skip=0, forward=run.forward, optimizer=run.optimizer):
        run.optimizer.step_on(step.for_optimizer(), scaler=run.scaler)
        if run.scaler is not None:
            run.scaler.update()
    return {"weights": run.model.state_dict(), "optimizer": run.optimizer.state_dict()}


@pytest.mark.parametrize("name", _LOCAL)
def test_ranks_with_perturbations_of_their_own_hold_the_same_weights(
    name: str, both_ranks: list[dict[str, dict[str, Any]]]
) -> None:
    first, second = (after[name] for after in both_ranks)

    torch.testing.assert_close(second["weights"], first["weights"], rtol=0, atol=0)
    torch.testing.assert_close(second["optimizer"]["state"], first["optimizer"]["state"], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["ssam-f", "ssam-d"])
def test_masks_are_the_same_on_all_ranks(name: str, both_ranks: list[dict[str, dict[str, Any]]]) -> None:
    first, second = (after[name]["optimizer"]["memory"] for after in both_ranks)

    assert first["mask"]
    torch.testing.assert_close(second, first, rtol=0, atol=0)


#: Each rank has a perturbation of its own and a memory of its own, BatchNorm has statistics, the average too.
_STATEFUL: dict[str, Any] = {
    "sam": {"variant": "friendly"},
    "model": {"name": "cnn", "width": 4},
    "dataset": {"name": "digits", "limit": 200, "validation_fraction": 0.2, "augment": "shift"},
    "batch_size": 15,
    "ema": {"decay": 0.5},
}


def _has_started(report: Report) -> bool:
    return isinstance(report, Started)


def _has_taken_the_last_step(report: Report) -> bool:
    """The last evaluation comes next."""
    return isinstance(report, Advanced) and report.progress.step == report.progress.steps


def _has_ended_the_first_epoch(report: Report) -> bool:
    return isinstance(report, EpochEnded) and report.epoch == 1


def _has_ended_the_last_epoch(report: Report) -> bool:
    """The first rank goes on alone."""
    return isinstance(report, EpochEnded) and report.epoch == 2


def _has_checkpoint_of_step_13(report: Report) -> bool:
    return isinstance(report, CheckpointWritten) and report.step == 13


_MOMENTS = {
    "before the first step": _has_started,
    "after the first step": has_stepped,
    "between two epochs": _has_ended_the_first_epoch,
    "in mid-epoch, while a checkpoint is written": _has_checkpoint_of_step_13,
    "in the last evaluation": _has_taken_the_last_step,
    "in the final measurement": _has_ended_the_last_epoch,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run that was never stopped."""
    return GroupedEngine(in_ranks(2, **_STATEFUL), tmp_path_factory.mktemp("whole")).ended()


@pytest.mark.parametrize("moment", _MOMENTS.values(), ids=_MOMENTS.keys())
def test_stopped_at_any_moment_ranks_go_on_to_the_same_bits(moment: Any, whole: Outcome, tmp_path: Path) -> None:
    every_step = {"checkpoint_every_s": 1e-9} if moment is _has_checkpoint_of_step_13 else {}
    first = GroupedEngine(in_ranks(2, **_STATEFUL, **every_step), tmp_path / "first", stop_at=moment).ended()
    checkpoint = tmp_path / "first" / first.last_checkpoint.name
    second = GroupedEngine(in_ranks(2, **_STATEFUL), tmp_path / "second", resume=[checkpoint]).ended()

    assert (first.status, second.status) == (EXIT_STOPPED, 0)
    assert second.one(Started).resumed_step == first.last_checkpoint.step
    assert second.weights_sha256 == whole.weights_sha256
    assert _common(first) + _common(second) == _common(whole)
    assert second.result.metrics == whole.result.metrics


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_at_the_same_step(rank: int, tmp_path: Path) -> None:
    engine = GroupedEngine(in_ranks(2, **ENDLESS), tmp_path / "out")
    engine.wait_for(has_stepped, "a step")

    engine.ranks()[rank].send_signal(signal.SIGTERM)
    ended = engine.ended()

    assert ended.status == EXIT_STOPPED
    assert isinstance(ended.reports[-1], CheckpointWritten)


def test_ranks_agree_that_the_time_is_up(tmp_path: Path) -> None:
    ended = GroupedEngine(in_ranks(2, **ENDLESS, stop={"max_seconds": 0.3}), tmp_path / "out").ended()

    assert (ended.status, ended.result.stop_reason) == (0, "max_seconds")
