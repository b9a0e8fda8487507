"""Stopped at any step and gone on with, a minimisation takes the very steps of one that was never stopped."""

from pathlib import Path
from typing import Any

import pytest

import sam
from lowland.spec.reports import EXIT_STOPPED, CheckpointWritten, Report, Started
from tests.worker.engine.functions.jobs import job
from tests.worker.engine.running import run

#: After every step.
_ALWAYS = 1e-9

_VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"sam": name} for name in sam.VARIANTS if name != "imbsam"},
    "msam": {"sam": {"variant": "msam", "rho": 0.01}, "optimizer": {"name": "sgd", "lr": 0.0001, "momentum": 0.9}},
    "looksam, k = 3": {"sam": {"variant": "looksam", "k": 3}},
    "second order": {"sam": {"variant": "sam", "second_order": True}},
    "adamw, cosine, clipped": {"optimizer": "adamw", "schedule": "cosine", "clip_norm": 1.0},
}


def _at_step(step: int) -> Any:
    def reached(report: Report) -> bool:
        return isinstance(report, CheckpointWritten) and report.step == step

    return reached


@pytest.mark.parametrize("fields", _VARIANTS.values(), ids=list(_VARIANTS))
def test_every_variant_goes_on_to_the_same_bits(tmp_path: Path, fields: dict[str, Any]) -> None:
    fields = {"start": [-1.2, 1.0, 0.5], "optimizer": {"name": "sgd", "lr": 0.0005}, **fields}
    whole = run(job(**fields), tmp_path / "whole")

    first = run(job(**fields, checkpoint_every_s=_ALWAYS), tmp_path / "first", stop_at=_at_step(7))
    second = run(job(**fields), tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name)

    assert (first.status, second.status) == (EXIT_STOPPED, 0)
    assert (first.last_checkpoint.step, second.one(Started).resumed_step) == (7, 7)
    assert second.result == whole.result
    for file in ("path.json", "path.svg", "path.gif", "metrics.jsonl"):
        assert (tmp_path / "second" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize("step", [1, 9, 10], ids=["the first", "the last but one", "the last"])
def test_a_run_stopped_after_any_step_goes_on(tmp_path: Path, step: int) -> None:
    whole = run(job(), tmp_path / "whole")

    first = run(job(checkpoint_every_s=_ALWAYS), tmp_path / "first", stop_at=_at_step(step))
    checkpoint = tmp_path / "first" / f"checkpoint-00000-{step:09d}.pt"
    second = run(job(), tmp_path / "second", resume=checkpoint)

    assert first.status == (0 if step == 10 else EXIT_STOPPED)
    assert second.result == whole.result


def test_a_checkpoint_of_another_function_is_refused(tmp_path: Path) -> None:
    first = run(job(checkpoint_every_s=_ALWAYS), tmp_path / "first", stop_at=_at_step(3))

    second = run(
        job(function="himmelblau"), tmp_path / "second", resume=tmp_path / "first" / first.last_checkpoint.name
    )

    (report,) = second.reports
    assert report.report == "error"
    assert report.type == "checkpoint-unusable"
    assert "belongs to another job: function differ" in report.detail
