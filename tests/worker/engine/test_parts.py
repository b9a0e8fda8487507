"""The parts of a dataset: who is in which, and how pixels are normalised."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lowland.spec.job import JobSpec
from worker.engine.data import DATASETS, Dataset, Samples
from worker.engine.data.parts import Parts, prepare
from worker.engine.errors import DatasetTooSmall
from worker.engine.settings import EngineSettings

CPU = torch.device("cpu")


def _parts(dataset: Dataset, *, seed: int = 0, channels_last: bool = True, **options: Any) -> Parts:
    spec = JobSpec.parse({"dataset": {"name": "digits", **options}}).dataset
    assert spec is not None
    return prepare(dataset, spec, seed=seed, device=CPU, channels_last=channels_last)


def _numbered(count: int, *, classes: int = 10) -> Dataset:
    """Every image says in its first two pixels which one it is."""
    number = torch.arange(count)
    images = torch.zeros((count, 1, 4, 4), dtype=torch.uint8)
    images[:, 0, 0, 0] = (number % 256).to(torch.uint8)
    images[:, 0, 0, 1] = (number // 256).to(torch.uint8)
    samples = Samples(images=images, labels=number % classes)
    return Dataset(train=samples, test=samples, classes=classes)


def _numbers(samples: Samples | None) -> set[int]:
    assert samples is not None
    first = samples.images[:, 0, 0, :2].long()
    return set((first[:, 0] + 256 * first[:, 1]).tolist())


def test_training_and_validation_part_share_no_sample_and_lose_none() -> None:
    parts = _parts(_numbered(1000), validation_fraction=0.2)

    assert len(_numbers(parts.validation)) == 200
    assert _numbers(parts.training) | _numbers(parts.validation) == set(range(1000))
    assert not _numbers(parts.training) & _numbers(parts.validation)


def test_the_seed_decides_who_validates() -> None:
    chosen = [_numbers(_parts(_numbered(1000), seed=seed).validation) for seed in (1, 1, 2)]

    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_every_part_has_each_class_in_proportion() -> None:
    parts = _parts(_numbered(1000), limit=500, validation_fraction=0.1)

    assert parts.validation is not None
    assert torch.bincount(parts.training.labels).tolist() == [45] * 10
    assert torch.bincount(parts.validation.labels).tolist() == [5] * 10


def test_the_training_part_is_counted_class_by_class_on_the_cpu() -> None:
    parts = _parts(_numbered(1003, classes=7), validation_fraction=0.0)

    assert parts.class_counts == [144, 144, 143, 143, 143, 143, 143]
    assert torch.equal(parts.host_labels, parts.training.labels.cpu())


def test_a_class_without_training_samples_is_counted_too() -> None:
    samples = _numbered(20, classes=2)

    parts = _parts(Dataset(train=samples.train, test=samples.test, classes=4), validation_fraction=0.0)

    assert parts.class_counts == [10, 10, 0, 0]


def test_the_limit_counts_before_the_validation_part_is_split_off() -> None:
    parts = _parts(_numbered(1000), limit=100, validation_fraction=0.25)

    assert (len(parts.training), len(_numbers(parts.validation)), len(parts.test)) == (75, 25, 1000)


def test_without_a_fraction_there_is_no_validation_part() -> None:
    parts = _parts(_numbered(50), validation_fraction=0.0)

    assert parts.validation is None
    assert len(parts.training) == 50


def test_a_small_fraction_of_few_is_one_sample() -> None:
    assert len(_numbers(_parts(_numbered(10), validation_fraction=0.01).validation)) == 1


def test_nothing_left_to_train_on_is_an_error() -> None:
    with pytest.raises(DatasetTooSmall, match=r"with 1 samples and validation_fraction 0\.1"):
        _parts(_numbered(1000), limit=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_training_part_normalised_has_mean_0_and_deviation_1_in_every_channel(channels: int) -> None:
    images = torch.randint(0, 200, (300, channels, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    samples = Samples(images=images, labels=torch.arange(300) % 3)
    parts = _parts(Dataset(train=samples, test=samples, classes=3), validation_fraction=0.5)

    normalised = parts.normalise(parts.training.images)

    assert normalised.dtype == torch.float32
    assert normalised.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * channels, abs=1e-4)
    assert normalised.std((0, 2, 3), correction=0).tolist() == pytest.approx([1.0] * channels, abs=1e-4)


def test_a_channel_without_contrast_becomes_zero_and_not_nan() -> None:
    samples = Samples(images=torch.full((20, 1, 4, 4), 7, dtype=torch.uint8), labels=torch.arange(20) % 2)

    parts = _parts(Dataset(train=samples, test=samples, classes=2))

    assert not parts.normalise(samples.images).any()


def _dense(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_laid_out_as_the_spec_says() -> None:
    images = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)
    samples = Samples(images=images.repeat(10, 1, 1, 1), labels=torch.arange(20) % 2)
    dataset = Dataset(train=samples, test=samples, classes=2)

    assert _dense(_parts(dataset, channels_last=True).normalise(images))
    assert not _dense(_parts(dataset, channels_last=False).normalise(images))


def test_the_test_part_of_digits_is_the_same_whatever_the_seed_and_options() -> None:
    digits = [DATASETS["digits"](EngineSettings()) for _ in range(2)]

    parts = [_parts(digits[0], seed=1, limit=100), _parts(digits[1], seed=2)]

    assert torch.equal(parts[0].test.images, parts[1].test.images)
    assert len(parts[0].test) == 359
