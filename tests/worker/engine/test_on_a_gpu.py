"""What the engine does on a GPU; `pytest --gpu`."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import sam
from lowland.spec.job import JobSpec
from lowland.spec.reports import EXIT_STOPPED, Advanced, Broken, EpochEnded, Report, Started
from tests.gpu import waiting_is_an_error
from tests.worker.engine.running import UNEVEN, Outcome, parsed, run, session_in, tiny
from worker.engine.batches import Step
from worker.engine.building import build_run
from worker.engine.state import EpochSums

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
every_variant = pytest.mark.parametrize("variant", list(sam.VARIANTS))

#: Convolutions, BatchNorm, dropout-free, with shifts; classes of two sizes, so that ImbSAM has a part.
IMAGES: dict[str, Any] = {
    "dataset": {**UNEVEN, "augment": "shift"},
    "model": {"name": "cnn", "width": 8},
    "resources": {"device": "cuda"},
    "epochs": 3,
}


def _stepped(step: int) -> Any:
    def reached(report: Report) -> bool:
        return isinstance(report, Advanced) and report.progress.step >= step

    return reached


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@every_variant
def test_every_variant_learns_in_every_precision(variant: str, precision: str, tmp_path: Path) -> None:
    outcome = run(tiny(**IMAGES, sam=variant, precision=precision), tmp_path)

    assert outcome.status == 0, outcome.reports
    started = outcome.one(Started)
    assert (started.device, started.precision) == ("cuda:0", precision)
    first, *_, last = outcome.all(EpochEnded)
    assert last.metrics["train_loss"] < first.metrics["train_loss"]


def test_auto_is_bf16_where_the_gpu_computes_in_it(tmp_path: Path) -> None:
    outcome = run(tiny(precision="auto"), tmp_path)

    expected = "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    assert (outcome.one(Started).device, outcome.one(Started).precision) == ("cuda:0", expected)


@every_variant
def test_stopped_and_gone_on_with_the_weights_are_the_same_bits(variant: str, tmp_path: Path) -> None:
    spec = tiny(**IMAGES, sam=variant, ema={"decay": 0.9}, precision="bf16", deterministic=True)
    never_stopped = run(spec, tmp_path / "whole")
    stopped = run(spec, tmp_path / "parts", stop_at=_stepped(1))
    assert stopped.status == EXIT_STOPPED

    resumed = run(spec, tmp_path / "parts", resume=tmp_path / "parts" / stopped.last_checkpoint.name)

    assert resumed.one(Started).resumed_step == stopped.last_checkpoint.step > 0
    assert resumed.weights_sha256 == never_stopped.weights_sha256


@pytest.mark.parametrize("augment", ["shift", "cutout"])
def test_no_step_waits_for_the_gpu(augment: str, tmp_path: Path) -> None:
    spec = tiny(**{**IMAGES, "dataset": {**UNEVEN, "augment": augment, "label_noise": 0.1}}, sam="sam")
    training = build_run(spec, replace(session_in(tmp_path), device=torch.device("cuda", 0)))
    sums = EpochSums(training.forward.task, training.device)

    def take(step: Step, number: int) -> None:
        sums.count(step, number=number, loss=training.optimizer.step_on(step.for_optimizer()), seconds=1.0)

    steps = enumerate(training.batches.epoch(0, skip=0, forward=training.forward, optimizer=training.optimizer))
    number, first = next(steps)
    take(first, number)
    with waiting_is_an_error():
        for number, step in steps:
            take(step, number)


def test_images_that_do_not_fit_there_stream_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny(**IMAGES, deterministic=True)
    there = run(spec, tmp_path / "there")
    total = torch.cuda.mem_get_info()[1]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, total))

    streamed = run(spec, tmp_path / "streamed")

    assert streamed.weights_sha256 == there.weights_sha256


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own, when its compiler is imported
def test_a_compiled_model_trains(tmp_path: Path) -> None:
    torch.compiler.reset()
    spec = tiny(**IMAGES, sam="sam")
    plain, compiled = (
        run(spec.model_copy(update={"compile": chosen}), tmp_path / str(chosen)) for chosen in (False, True)
    )

    assert (plain.status, compiled.status) == (0, 0), compiled.reports
    assert compiled.all(EpochEnded)[-1].metrics["train_loss"] == pytest.approx(
        plain.all(EpochEnded)[-1].metrics["train_loss"], rel=0.05
    )


def test_too_little_memory_is_told_with_what_to_lower(tmp_path: Path) -> None:
    spec = tiny(**{**IMAGES, "model": {"name": "resnet9", "width": 256}, "sam": "sam"})
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        outcome = run(spec, tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert outcome.status == 1
    broken = outcome.one(Broken)
    assert (broken.type, broken.permanent) == ("out-of-memory", False)
    assert "batch_size" in broken.detail


def test_more_ranks_than_gpus_are_refused_by_number(tmp_path: Path) -> None:
    count = torch.cuda.device_count() + 1
    spec = tiny(**{**IMAGES, "resources": {"device": "cuda", "world_size": count}})

    status, reports = _program(spec, tmp_path)

    assert status == 1
    (broken,) = [report for report in reports if isinstance(report, Broken)]
    assert broken.type == "device-unavailable"


def test_a_rank_started_by_torchrun_computes_the_same(tmp_path: Path) -> None:
    spec = tiny(**IMAGES, sam="sam", deterministic=True)
    alone = run(spec, tmp_path / "alone")

    status, reports = _program(spec, tmp_path, "torch.distributed.run", "--standalone", "-m")

    assert status == 0
    assert Outcome(status=status, reports=reports).weights_sha256 == alone.weights_sha256


def test_a_signal_stops_it_at_a_step_boundary(tmp_path: Path) -> None:
    stopped = run(tiny(**{**IMAGES, "epochs": 10_000}), tmp_path, stop_at=_stepped(2))

    assert stopped.status == EXIT_STOPPED
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _program(spec: JobSpec, folder: Path, *launcher: str) -> tuple[int, list[Report]]:
    """Train in a process of its own; gives its exit status and what it reported."""
    written = folder / "spec.json"
    written.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", *launcher, "worker.engine", str(written), "--out", str(folder / "out")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=100)
    return done.returncode, parsed(done.stdout)
