"""Everything a run is made of, built from its spec."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from lowland.spec.job import JobSpec
from sam import SamOptimizer
from worker.engine.batches import TrainingBatches
from worker.engine.data import DATASETS
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import Parts, prepare
from worker.engine.device import Precision, choose_precision, device_name
from worker.engine.errors import SpecUnusable, VariantUnsuited
from worker.engine.models import MODELS, ImageShape
from worker.engine.optim import LearningRate, build_optimizer
from worker.engine.randomness import seed_of
from worker.engine.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is trained, on what, with what; none of these is replaced while the run goes on."""

    spec: JobSpec
    device: torch.device
    precision: Precision
    parts: Parts
    batches: TrainingBatches
    model: nn.Module
    optimizer: SamOptimizer
    learning_rate: LearningRate

    @property
    def parameters(self) -> int:
        """Trainable numbers in the model."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def description(self) -> dict[str, Any]:
        """What the run was made from, as JSON values."""
        parts = self.parts
        return {
            "spec": self.spec.model_dump(mode="json"),
            "seed": self.spec.seed,
            "device": str(self.device),
            "device_name": device_name(self.device),
            "precision": self.precision,
            "parameters": self.parameters,
            "samples": {
                "training": len(parts.training),
                "validation": 0 if parts.validation is None else len(parts.validation),
                "test": len(parts.test),
            },
        }


def build_run(spec: JobSpec, *, settings: EngineSettings, device: torch.device) -> Run:
    """Read the data and build the rest, in its state before the first step.

    Raises:
        EngineError: the data cannot be had, or do not suit the spec.
    """
    dataset = spec.dataset
    if dataset is None:
        raise SpecUnusable("function is given, which this engine does not minimise; give dataset")
    precision = choose_precision(spec.precision, device)
    parts = prepare(
        DATASETS[dataset.name](settings),
        dataset,
        seed=spec.seed,
        device=device,
        channels_last=spec.channels_last,
    )
    batches = TrainingBatches(
        parts,
        AUGMENTATIONS[dataset.augment],
        batch_size=spec.batch_size,
        seed=spec.seed,
        label_smoothing=spec.label_smoothing,
        precision=precision,
    )
    model = _build_model(spec, parts).to(device)
    run = Run(
        spec=spec,
        device=device,
        precision=precision,
        parts=parts,
        batches=batches,
        model=model,
        optimizer=build_optimizer(spec, model),
        learning_rate=LearningRate.of(spec.optimizer, spec.schedule, epochs=spec.epochs, steps_per_epoch=len(batches)),
    )
    _tell_optimizer(run)
    return run


def _tell_optimizer(run: Run) -> None:
    """What a variant may want to know of the run. Nothing of it is in a checkpoint: it follows from the spec."""
    try:
        run.optimizer.plan(
            steps=run.learning_rate.steps,
            steps_per_epoch=len(run.batches),
            seed=run.spec.seed,
            class_counts=run.parts.class_counts,
            samples=partial(run.batches.sample, model=run.model),
        )
    except ValueError as error:
        raise VariantUnsuited(run.spec.sam.variant, cause=error) from error


def _build_model(spec: JobSpec, parts: Parts) -> nn.Module:
    """With weights drawn on the CPU, so that they are the same for every device."""
    channels, height, width = parts.image_shape
    options: Mapping[str, Any] = spec.model.model_dump(exclude={"name", "pretrained"})
    torch.manual_seed(seed_of(spec.seed, "weights"))
    model = MODELS[spec.model.name](ImageShape(channels=channels, height=height, width=width), parts.classes, **options)
    if spec.channels_last:
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: documented, missing in the stub
    return model
