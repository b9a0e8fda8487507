"""Everything a run is made of, built from its spec."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lowland.networks import MODELS, Description, ShapeUnsuited, Vector
from lowland.spec.conflicts import target_out_of_reach
from lowland.spec.datasets import augment_of
from lowland.spec.estimate import estimate
from lowland.spec.job import JobSpec
from lowland.spec.models import Resnet18, Torchvision
from lowland.spec.sam import Plain
from sam import SamOptimizer
from worker.engine.batches import Forward, TrainingBatches
from worker.engine.data import DATASETS
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import Parts, prepare
from worker.engine.device import Precision, choose_precision, device_name, memory_of
from worker.engine.errors import MemoryTooSmall, ModelUnsuited, SpecUnusable, VariantUnsuited
from worker.engine.optim import build_optimizer
from worker.engine.randomness import seed_of
from worker.engine.schedules import LearningRate
from worker.engine.session import Session
from worker.engine.tasks import TASKS
from worker.engine.weights.pretrained import load_pretrained
from worker.engine.weights.warm_start import WarmStart, load_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is trained, on what, with what; none of these is replaced while the run goes on."""

    spec: JobSpec
    device: torch.device
    precision: Precision
    parts: Parts
    batches: TrainingBatches
    model: nn.Module
    """The one whose weights are trained."""
    forward: Forward
    """How it is run in training."""
    measured: Forward
    """How it is run to be measured: its average, where there is one."""
    averaged: AveragedModel | None
    optimizer: SamOptimizer
    scaler: GradScaler | None
    learning_rate: LearningRate
    warm_start: WarmStart | None

    @property
    def objective(self) -> str:
        """The series the run is about: the validation score, without a validation part the training loss."""
        return "train_loss" if self.parts.validation is None else f"validation_{self.forward.task.score}"

    @property
    def parameters(self) -> int:
        """Trainable numbers in the model."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    @torch.no_grad()
    def weight_norm_squared(self) -> float:
        """Of all trainable weights together. Waits for the device."""
        return float(torch.stack([p.double().square().sum() for p in self.model.parameters() if p.requires_grad]).sum())

    def description(self) -> dict[str, Any]:
        """What the run was made from, as JSON values."""
        parts = self.parts
        return {
            "device": str(self.device),
            "device_name": device_name(self.device),
            "precision": self.precision,
            "parameters": self.parameters,
            "samples": {
                "training": len(parts.training),
                "validation": 0 if parts.validation is None else len(parts.validation),
                "test": len(parts.test),
            },
            **parts.description(),
            "data_sha256": dict(parts.checksums),
            "warm_start": self._lineage(),
        }

    def trained(self) -> Description:
        """What its weights are of, as it stands beside them."""
        return Description.model_validate({"model": self.spec.model, **self.parts.description()})

    def _lineage(self) -> dict[str, Any] | None:
        """Where the first weights came from; what was taken over is known to the attempt that did it."""
        model = self.spec.model
        origin = model.init_from.model_dump() if model.init_from else None
        if isinstance(model, Resnet18 | Torchvision) and model.pretrained:
            origin = "published weights"
        if origin is None:
            return None
        return {"from": origin, **({} if self.warm_start is None else self.warm_start.description())}


def build_run(spec: JobSpec, session: Session) -> Run:
    """Read the data and build the rest, in its state before the first step.

    Raises:
        EngineError: the data cannot be had, or do not suit the spec.
    """
    if spec.dataset is None:
        raise SpecUnusable("dataset is missing; this is for jobs that have one")
    device = session.device
    parts = prepare(
        DATASETS[spec.dataset.name](spec.dataset, session.settings, session.reporter),
        spec.dataset,
        seed=spec.seed,
        device=device,
        channels_last=spec.channels_last,
    )
    precision = choose_precision(spec.precision, device, parts.input_shape)
    _check_memory(spec, parts, session, precision)
    batches = TrainingBatches(
        parts,
        AUGMENTATIONS[augment_of(spec.dataset)],
        batch_size=spec.batch_size,
        accumulate=spec.accumulate,
        seed=spec.seed,
        ranks=session.ranks,
    )
    model, warm_start = _build_model(spec, parts, session)
    optimizer = build_optimizer(spec, model)
    averaged = _averaged(spec, model)
    forward = Forward(
        model=_shared(model, session),
        task=TASKS[spec.dataset.task](parts),
        precision=precision,
        label_smoothing=spec.label_smoothing,
        batch_size=math.ceil(spec.batch_size / session.ranks.count),
        sync_perturbation=not isinstance(spec.sam, Plain) and spec.sam.sync_perturbation,
    )
    run = Run(
        spec=spec,
        device=device,
        precision=precision,
        parts=parts,
        batches=batches,
        model=model,
        forward=forward,
        measured=replace(forward, model=model if averaged is None else averaged.module),
        averaged=averaged,
        optimizer=optimizer,
        scaler=GradScaler(device.type) if precision == "fp16" else None,
        learning_rate=LearningRate.of(
            spec.schedule, peak=spec.optimizer.lr, epochs=spec.epochs, steps_per_epoch=len(batches)
        ),
        warm_start=warm_start,
    )
    _check_stop_rule(run)
    _tell_optimizer(run)
    return run


def _check_memory(spec: JobSpec, parts: Parts, session: Session, precision: Precision) -> None:
    """Refuse what would not fit if all memory were free; data apart, which may stay on disk."""
    inputs = parts.input_shape
    sides = (inputs.values, 1, 1) if isinstance(inputs, Vector) else (inputs.channels, inputs.height, inputs.width)
    samples = len(parts.training) + len(parts.test)
    needed = estimate(spec, precision=precision, data=(samples, sides, parts.outputs))
    ranks = session.ranks.count if session.device.type == "cpu" else 1
    bytes_needed = ranks * sum(
        size or 0 for size in (needed.model_bytes, needed.optimizer_bytes, needed.activation_bytes)
    )
    if bytes_needed > (there := memory_of(session.device)):
        raise MemoryTooSmall(needed=bytes_needed, there=there)


def _check_stop_rule(run: Run) -> None:
    """What the contract cannot know: whether a folder has a validation part shows only once it has been read."""
    stop = run.spec.stop
    if stop is None:
        return
    metric = stop.metric or run.objective
    if metric.startswith("validation_") and run.parts.validation is None:
        raise SpecUnusable(
            f'stop.metric is "{metric}", and the dataset has no validation part; give it one, give '
            'dataset.validation_fraction, or give stop.metric = "train_loss"'
        )
    if mistake := target_out_of_reach(stop, metric):
        raise SpecUnusable(mistake)


def _tell_optimizer(run: Run) -> None:
    """What a variant may want to know of the run. Nothing of it is in a checkpoint: it follows from the spec."""
    try:
        run.optimizer.plan(
            steps=run.learning_rate.steps,
            steps_per_epoch=len(run.batches),
            seed=run.spec.seed,
            class_counts=run.parts.class_counts,
            samples=partial(run.batches.sample, forward=replace(run.forward, model=run.model)),
        )
    except ValueError as error:
        raise VariantUnsuited(run.spec.sam.variant, cause=error) from error


def _build_model(spec: JobSpec, parts: Parts, session: Session) -> tuple[nn.Module, WarmStart | None]:
    """With weights drawn on the CPU, so that they are the same for every device."""
    torch.manual_seed(seed_of(spec.seed, "weights"))
    try:
        model = MODELS[spec.model.name](parts.input_shape, parts.outputs, **spec.model.options())
    except ShapeUnsuited as error:
        raise ModelUnsuited(str(error)) from error
    warm_start = _start_warm(spec, model, session)
    if spec.channels_last:
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: documented, missing in the stub
    model = model.to(session.device)
    if spec.compile:
        model.compile(backend=session.settings.compile_backend)
    return model, warm_start


def _start_warm(spec: JobSpec, model: nn.Module, session: Session) -> WarmStart | None:
    if session.resume:
        return None  # a checkpoint holds everything, and the machine need not have the file
    if spec.model.init_from is None:
        return load_pretrained(spec.model, model, session.settings)
    if session.weights is None:
        raise SpecUnusable("model.init_from wants another job's weights; give their file with --weights")
    return load_weights(model, session.weights)


def _averaged(spec: JobSpec, model: nn.Module) -> AveragedModel | None:
    """A copy that follows the weights, BatchNorm's statistics too."""
    if spec.ema is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(spec.ema.decay), use_buffers=True)


def _shared(model: nn.Module, session: Session) -> nn.Module:
    """The model as data-parallel ranks run it: their gradients are averaged in the backward pass."""
    if session.ranks.count == 1:
        return model
    return DistributedDataParallel(model, device_ids=[session.device] if session.device.type == "cuda" else None)
