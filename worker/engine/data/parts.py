"""The parts of a dataset as a run uses them: chosen, split off, measured, on the training device.

test            the dataset's own test part; never split, never looked at before the end
training set    at most `limit` samples, each class in proportion
  ├ validation  the dataset's own, or `validation_fraction` of the set, each class in proportion; none when that is 0
  └ training    the rest, its classes thinned out by `imbalance`, then its labels made wrong by `label_noise`
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lowland.networks.shape import InputShape, shape_of
from lowland.spec.datasets import DatasetSpec, Diabetes, LinearData
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.labels import mislabelled, thinned
from worker.engine.data.normalise import Normaliser, TargetScale, normaliser_of, scale_of
from worker.engine.data.splits import chosen, split_off
from worker.engine.errors import DatasetTooSmall, TargetsConstant
from worker.engine.randomness import generator_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All a run needs of its dataset. Targets are on the training device, and so are the sources that fit there."""

    training: Samples
    validation: Samples | None
    test: Samples
    host_labels: Tensor | None
    """The training part's classes, int64 [N], on the CPU: who reads them there waits for no device. None in
    regression."""
    clean_targets: Tensor | None
    """The training targets before label noise, where those after it are; None without noise."""
    classes: tuple[str, ...] | None
    """Their names; None in regression."""
    features: tuple[str, ...] | None
    """Their names; None of images, and where they have none."""
    normalise: Normaliser
    targets: TargetScale | None
    """How regression's targets are standardised; those of the parts are in their own units. None in classification."""
    device: torch.device
    """Where training is."""
    checksums: Mapping[str, str]
    """SHA-256 of every file the dataset was read from."""

    @property
    def input_shape(self) -> InputShape:
        """What one sample is like."""
        return shape_of(self.training.source.shape[1:])

    @property
    def outputs(self) -> int:
        """Numbers a model says of one sample: one for each class, or the value."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def class_counts(self) -> list[int] | None:
        """Training samples of each class; None in regression."""
        return None if self.host_labels is None else torch.bincount(self.host_labels, minlength=self.outputs).tolist()

    def description(self) -> dict[str, Any]:
        """What its user has to know to give a model samples and to read its answers, as JSON values."""
        return {
            "input_shape": list(self.input_shape.sizes),
            "features": None if self.features is None else list(self.features),
            "classes": None if self.classes is None else list(self.classes),
            "normalised": {
                "inputs": self.normalise.description(),
                "targets": None if self.targets is None else asdict(self.targets),
            },
        }


def prepare(dataset: Dataset, spec: DatasetSpec, *, seed: int, device: torch.device, channels_last: bool) -> Parts:
    """Split, measure and move a dataset.

    Raises:
        DatasetTooSmall: the training part would be empty.
        TargetsConstant: a regression's part has one value alone.
    """
    training, validation = _split(dataset, spec, seed=seed)
    if dataset.classes is None:
        _refuse_constant("training", training)
        _refuse_constant("validation", validation)
    training, clean = _made_harder(training, spec, classes=dataset.classes, seed=seed)
    placed: dict[int, Tensor] = {}
    return Parts(
        training=_on(device, training, placed),
        validation=None if validation is None else _on(device, validation, placed),
        test=_on(device, dataset.test, placed),
        host_labels=None if dataset.classes is None else training.targets,
        clean_targets=None if clean is None else clean.to(device),
        classes=dataset.classes,
        features=dataset.features,
        normalise=normaliser_of(training, device, channels_last=channels_last),
        targets=scale_of(training.targets) if dataset.classes is None else None,
        device=device,
        checksums=dataset.checksums,
    )


def _split(dataset: Dataset, spec: DatasetSpec, *, seed: int) -> tuple[Samples, Samples | None]:
    samples = dataset.train
    if spec.limit is not None and spec.limit < len(samples):
        _, samples = split_off(samples, spec.limit, generator_for(seed, "limit"))
    if dataset.validation is not None or spec.validation_fraction == 0:
        return samples, dataset.validation
    count = max(1, round(spec.validation_fraction * len(samples)))
    if count >= len(samples):
        raise DatasetTooSmall(samples=len(samples), validation_fraction=spec.validation_fraction)
    return split_off(samples, count, generator_for(seed, "validation"))


def _refuse_constant(part: str, samples: Samples | None) -> None:
    """No part of a spread that is not there can be explained, and weights are chosen by that part."""
    if samples is not None and samples.targets.amin() == samples.targets.amax():
        raise TargetsConstant(part, samples=len(samples), value=float(samples.targets[0]))


def _made_harder(
    training: Samples, spec: DatasetSpec, *, classes: tuple[str, ...] | None, seed: int
) -> tuple[Samples, Tensor | None]:
    """Thin out classes, then make labels wrong; also give the targets before the noise, if there is any."""
    if classes is None or isinstance(spec, LinearData | Diabetes):
        return training, None
    count = len(classes)
    if spec.imbalance is not None:
        generator = generator_for(seed, "imbalance")
        training = chosen(training, thinned(training.targets, spec.imbalance, classes=count, generator=generator))
    if spec.label_noise == 0:
        return training, None
    generator = generator_for(seed, "label noise")
    noisy = mislabelled(training.targets, spec.label_noise, classes=count, generator=generator)
    return replace(training, targets=noisy), training.targets


def _on(device: torch.device, samples: Samples, placed: dict[int, Tensor]) -> Samples:
    """Bring samples to a device; a source that parts share once, one that does not fit there not at all.

    Args:
        placed: where each source, by its identity, was brought before.
    """
    if id(samples.source) not in placed:
        placed[id(samples.source)] = _where_it_fits(device, samples.source)
    source = placed[id(samples.source)]
    rows = None if samples.rows is None else samples.rows.to(source.device)
    return replace(samples, source=source, targets=samples.targets.to(device), rows=rows)


def _where_it_fits(device: torch.device, source: Tensor) -> Tensor:
    """On a GPU, if it takes less than half of the memory that is free; the model needs some too."""
    if device.type == "cuda" and source.nbytes >= torch.cuda.mem_get_info(device)[0] / 2:
        return source
    return source.to(device)
