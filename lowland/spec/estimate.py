"""What a job will need of memory, by arithmetic: nothing is read, nothing is built.

    model         weights and their gradients, both once more for a close look at an epoch's last step, and the copies
                  that are kept of the weights (the selected ones, an average)
    data          the dataset, raw as it lies in memory
    optimizer     the base optimizer's state, and what the variant holds beside it at its worst
    activations   one batch, what its forward pass keeps for the backward pass, and what flows back through that: the
                  gradients before and behind a layer, at most twice the largest activation

The runtime itself is not in it: Python, torch and its kernels take some hundred MB more.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from lowland.spec.base import SpecModel
from lowland.spec.datasets import DatasetSpec, LinearData
from lowland.spec.estimate_models import Size, size_of
from lowland.spec.job import JobSpec
from lowland.spec.optimizers import RmsProp, Sgd

#: Bytes of a float32.
_FLOAT: Final = 4


class Parts(NamedTuple):
    """How many samples a dataset has, and what they and their targets are like."""

    train: int
    """Training samples, before a validation part is split off."""
    test: int
    shape: tuple[int, int, int]
    """Of a sample: channels, height, width; features are so many channels of one pixel."""
    outputs: int
    """Of a model: the classes, or 1 in regression."""


#: Of the sets that are always the same.
_SETS: Final[Mapping[str, Parts]] = {
    "digits": Parts(1_438, 359, (1, 8, 8), 10),
    "mnist": Parts(60_000, 10_000, (1, 28, 28), 10),
    "kmnist": Parts(60_000, 10_000, (1, 28, 28), 10),
    "fashion-mnist": Parts(60_000, 10_000, (1, 28, 28), 10),
    "cifar10": Parts(50_000, 10_000, (3, 32, 32), 10),
    "cifar100": Parts(50_000, 10_000, (3, 32, 32), 100),
    "svhn": Parts(73_257, 26_032, (3, 32, 32), 10),
    "diabetes": Parts(354, 88, (10, 1, 1), 1),
    "breast-cancer": Parts(455, 114, (30, 1, 1), 2),
}


#: Samples, channels and sides of one of them (features as so many channels of one pixel), and outputs.
Data = tuple[int, tuple[int, int, int], int]


class Estimate(SpecModel):
    """Of each process of a job, in bytes; null is what cannot be known without reading or building."""

    parameters: int | None
    """Trainable numbers in the model."""
    model_bytes: int | None
    """Weights, gradients, and copies of them."""
    data_bytes: int | None
    """The dataset."""
    optimizer_bytes: int | None
    """The base optimizer's state and the variant's copies."""
    activation_bytes: int | None
    """One batch, forward and backward."""
    total_bytes: int | None
    """All of them; null where one is."""


def estimate(spec: JobSpec, *, precision: str | None = None, data: Data | None = None) -> Estimate:
    """Estimate a job.

    Args:
        precision: what "auto" comes to where that is known ("fp32", "bf16", "fp16"); else it counts as fp32, in which
            activations take most.
        data: of people's own files, once they have been read; of other datasets it is known.
    """
    if spec.dataset is None:
        return _of_a_function(len(spec.start or ()))
    known = data or known_data(spec.dataset)
    if known is None:
        return _summed(None, None, None, None, None)
    samples, shape, outputs = known
    channels, height, width = shape
    values = channels * height * width
    # pixels are bytes, features floats; a class is an int64, a value a float
    raw = samples * (values * (1 if spec.dataset.has_images else _FLOAT) + (8 if outputs > 1 else _FLOAT))
    size = size_of(spec.model, shape, outputs)
    if size is None:
        return _summed(None, None, raw, None, None)
    weights = _FLOAT * size.parameters
    # weights and gradients, and both once more while an epoch's last step is looked at closely
    copies = 4 + (spec.ema is not None) + (spec.dataset.validation_fraction > 0)
    return _summed(
        size.parameters,
        copies * weights,
        raw,
        (_base_copies(spec) + spec.sam.copies) * weights,
        _activations(spec, size, values, is_half=(precision or spec.precision) in {"bf16", "fp16"}),
    )


def known_data(dataset: DatasetSpec) -> Data | None:
    """Samples of all parts, shape and outputs; None for people's own files."""
    known = known_parts(dataset)
    return (known.train + known.test, known.shape, known.outputs) if known else None


def known_parts(dataset: DatasetSpec) -> Parts | None:
    """A dataset as it is before its options choose from it; None for people's own files."""
    if isinstance(dataset, LinearData):
        return Parts(dataset.samples, max(1, dataset.samples // 4), (dataset.variables, 1, 1), 1)
    return _SETS.get(dataset.name)


def training_samples(dataset: DatasetSpec) -> int | None:
    """Samples of the training set, at most `limit`, before the validation part is split off; of people's own files the
    limit, which no training set exceeds; None where there is none.
    """
    known = known_parts(dataset)
    counts = (known.train if known else None, dataset.limit)
    return min((count for count in counts if count is not None), default=None)


def _activations(spec: JobSpec, size: Size, values: int, *, is_half: bool) -> int:
    """Of one process's share of a batch. In half precision the weights are kept in it too."""
    batch = -(-spec.batch_size // spec.resources.world_size)
    passes = batch * ((size.kept + 2 * size.largest) * (2 if is_half else _FLOAT) + size.kept_bytes)
    inputs = spec.accumulate * batch * values * _FLOAT
    return passes + inputs + (2 * size.parameters if is_half else 0)


def _base_copies(spec: JobSpec) -> int:
    """Copies of the weights in the base optimizer's state. Of Muon this is the most: it is AdamW on some."""
    match spec.optimizer:
        case Sgd(momentum=momentum):
            return 1 if momentum else 0
        case RmsProp(momentum=momentum):
            return 2 if momentum else 1
        case _:
            return 2


def _of_a_function(variables: int) -> Estimate:
    """A point in float64, beside which nothing matters."""
    return _summed(variables, 16 * variables, 0, 0, 0)


def _summed(
    parameters: int | None,
    model_bytes: int | None,
    data_bytes: int | None,
    optimizer_bytes: int | None,
    activation_bytes: int | None,
) -> Estimate:
    parts = [model_bytes, data_bytes, optimizer_bytes, activation_bytes]
    known = [part for part in parts if part is not None]
    return Estimate(
        parameters=parameters,
        model_bytes=model_bytes,
        data_bytes=data_bytes,
        optimizer_bytes=optimizer_bytes,
        activation_bytes=activation_bytes,
        total_bytes=sum(known) if len(known) == len(parts) else None,
    )
