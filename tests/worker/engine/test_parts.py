"""The parts of a dataset: who is in which, with which labels, and how inputs and targets are normalised."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from lowland.networks.shape import ImageShape, Vector
from lowland.spec.datasets import DatasetSpec, Digits
from worker.engine.data import DATASETS, Dataset, Samples
from worker.engine.data.normalise import TargetScale, moments_of
from worker.engine.data.parts import Parts, prepare
from worker.engine.errors import DatasetTooSmall, TargetsConstant
from worker.engine.settings import EngineSettings

CPU = torch.device("cpu")


def _parts(
    dataset: Dataset, *, name: str = "digits", seed: int = 0, channels_last: bool = True, **options: Any
) -> Parts:
    spec = TypeAdapter[DatasetSpec](DatasetSpec).validate_python({"name": name, **options})
    return prepare(dataset, spec, seed=seed, device=CPU, channels_last=channels_last)


def _numbered(count: int, *, classes: int = 10, sizes: Sequence[int] | None = None) -> Dataset:
    """Every image says in its first two pixels which one it is; classes are of the sizes given, or take turns."""
    number = torch.arange(count)
    images = torch.zeros((count, 1, 4, 4), dtype=torch.uint8)
    images[:, 0, 0, 0] = (number % 256).to(torch.uint8)
    images[:, 0, 0, 1] = (number // 256).to(torch.uint8)
    labels = (
        number % classes if sizes is None else torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    )
    samples = Samples(source=images, targets=labels)
    return _dataset(samples, classes=classes if sizes is None else len(sizes))


def _dataset(samples: Samples, *, classes: int | None) -> Dataset:
    return Dataset(train=samples, test=samples, classes=None if classes is None else tuple(map(str, range(classes))))


def _table(features: Tensor, targets: Tensor) -> Dataset:
    """A regression."""
    return _dataset(Samples(source=features, targets=targets), classes=None)


def _inputs(samples: Samples | None) -> Tensor:
    assert samples is not None
    return samples.inputs(torch.arange(len(samples)))


def _numbers(samples: Samples | None) -> set[int]:
    first = _inputs(samples)[:, 0, 0, :2].long()
    return set((first[:, 0] + 256 * first[:, 1]).tolist())


def test_training_and_validation_part_share_no_sample_and_lose_none() -> None:
    parts = _parts(_numbered(1000), validation_fraction=0.2)

    assert len(_numbers(parts.validation)) == 200
    assert _numbers(parts.training) | _numbers(parts.validation) == set(range(1000))
    assert not _numbers(parts.training) & _numbers(parts.validation)


def test_splitting_copies_no_image() -> None:
    dataset = _numbered(1000)

    parts = _parts(dataset, limit=500, validation_fraction=0.2)

    assert parts.validation is not None
    assert parts.training.source is dataset.train.source
    assert parts.validation.source is dataset.train.source


def test_a_source_that_parts_share_is_brought_to_the_device_once() -> None:
    """Shown with torch's device without storage, which every machine has."""
    elsewhere = torch.device("meta")

    parts = prepare(_numbered(100), Digits(validation_fraction=0.2), seed=0, device=elsewhere, channels_last=True)

    assert parts.validation is not None
    assert parts.host_labels is not None
    assert parts.training.source is parts.validation.source is parts.test.source
    for samples in (parts.training, parts.validation):
        assert samples.rows is not None
        assert samples.source.device == samples.targets.device == samples.rows.device == elsewhere
    assert parts.normalise(parts.training.inputs(torch.zeros(3, dtype=torch.int64))).device == elsewhere
    assert parts.host_labels.device == CPU


def test_the_seed_decides_who_validates() -> None:
    chosen = [_numbers(_parts(_numbered(1000), seed=seed).validation) for seed in (1, 1, 2)]

    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_every_part_has_each_class_in_proportion() -> None:
    parts = _parts(_numbered(1000), limit=500, validation_fraction=0.1)

    assert parts.validation is not None
    assert torch.bincount(parts.training.targets).tolist() == [45] * 10
    assert torch.bincount(parts.validation.targets).tolist() == [5] * 10


def test_every_sample_keeps_its_target() -> None:
    parts = _parts(_numbered(1000), limit=500, validation_fraction=0.2)

    for part in (parts.training, parts.validation):
        assert part is not None
        pixels = _inputs(part)[:, 0, 0, :2].long()
        assert part.targets.tolist() == ((pixels[:, 0] + 256 * pixels[:, 1]) % 10).tolist()


def test_the_training_part_is_counted_class_by_class_on_the_cpu() -> None:
    parts = _parts(_numbered(1003, classes=7), validation_fraction=0.0)

    assert parts.class_counts == [144, 144, 143, 143, 143, 143, 143]
    assert parts.host_labels is not None
    assert torch.equal(parts.host_labels, parts.training.targets.cpu())


def test_a_class_without_training_samples_is_counted_too() -> None:
    dataset = replace(_numbered(20, classes=2), classes=("a", "b", "c", "d"))

    parts = _parts(dataset, validation_fraction=0.0)

    assert (parts.class_counts, parts.outputs) == ([10, 10, 0, 0], 4)


def test_the_limit_counts_before_the_validation_part_is_split_off() -> None:
    parts = _parts(_numbered(1000), limit=100, validation_fraction=0.25)

    assert (len(parts.training), len(_numbers(parts.validation)), len(parts.test)) == (75, 25, 1000)


def test_without_a_fraction_there_is_no_validation_part() -> None:
    parts = _parts(_numbered(50), validation_fraction=0.0)

    assert parts.validation is None
    assert len(parts.training) == 50


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_a_validation_part_of_the_dataset_s_own_is_used_whole(fraction: float) -> None:
    dataset = replace(_numbered(50), validation=_numbered(30).train)

    parts = _parts(dataset, limit=20, validation_fraction=fraction)

    assert (len(parts.training), _numbers(parts.validation)) == (20, set(range(30)))


def test_a_small_fraction_of_few_is_one_sample() -> None:
    assert len(_numbers(_parts(_numbered(10), validation_fraction=0.01).validation)) == 1


def test_nothing_left_to_train_on_is_an_error() -> None:
    with pytest.raises(DatasetTooSmall, match=r"there are 1 samples, and with validation_fraction 0\.1"):
        _parts(_numbered(1000), limit=1)


@pytest.mark.parametrize(
    ("imbalance", "left"),
    [
        ({"kind": "exponential", "factor": 100.0}, [100, 32, 10, 3, 1]),
        ({"kind": "exponential", "factor": 1.0}, [100] * 5),
        ({"kind": "exponential", "factor": 1e9}, [100, 1, 1, 1, 1]),
        ({"kind": "step", "factor": 10.0}, [100, 100, 100, 10, 10]),
    ],
    ids=str,
)
def test_imbalance_thins_out_the_later_classes_of_the_training_part_alone(
    imbalance: dict[str, Any], left: list[int]
) -> None:
    parts = _parts(_numbered(1000, classes=5), imbalance=imbalance, validation_fraction=0.5)

    assert parts.class_counts == left
    assert parts.validation is not None
    assert torch.bincount(parts.validation.targets).tolist() == [100] * 5
    assert torch.bincount(parts.test.targets).tolist() == [200] * 5


def test_a_class_that_is_small_already_keeps_what_it_has() -> None:
    parts = _parts(
        _numbered(53, sizes=[3, 40, 0, 10]), imbalance={"kind": "exponential", "factor": 8.0}, validation_fraction=0.0
    )

    assert parts.class_counts == [3, 20, 0, 5]


def test_the_seed_decides_who_is_thinned_out() -> None:
    left = [
        _numbers(_parts(_numbered(1000), seed=seed, imbalance={}, validation_fraction=0.0).training)
        for seed in (1, 1, 2)
    ]

    assert left[0] == left[1]
    assert left[0] != left[2]


def test_label_noise_gives_exactly_a_fraction_of_the_training_labels_another_class() -> None:
    parts = _parts(_numbered(1000), label_noise=0.3, validation_fraction=0.2)

    assert parts.clean_targets is not None
    assert parts.host_labels is not None
    assert int((parts.training.targets != parts.clean_targets).sum()) == 240
    assert torch.equal(parts.host_labels, parts.training.targets)
    pixels = _inputs(parts.training)[:, 0, 0, :2].long()
    assert parts.clean_targets.tolist() == ((pixels[:, 0] + 256 * pixels[:, 1]) % 10).tolist()


def test_a_wrong_label_is_each_other_class_equally_often() -> None:
    dataset = _numbered(20_000, sizes=[20_000, 0, 0, 0, 0])

    parts = _parts(dataset, label_noise=0.5, validation_fraction=0.0)

    assert parts.class_counts is not None
    assert parts.class_counts[0] == 10_000
    assert max(abs(count - 2500) for count in parts.class_counts[1:]) < 200


def test_label_noise_leaves_validation_and_test_part_and_the_dataset_alone() -> None:
    dataset = _numbered(1000)

    noisy, clean = (_parts(dataset, label_noise=noise, validation_fraction=0.2) for noise in (0.5, 0.0))

    assert clean.clean_targets is None
    assert noisy.validation is not None
    assert clean.validation is not None
    assert torch.equal(noisy.validation.targets, clean.validation.targets)
    assert torch.equal(dataset.train.targets, torch.arange(1000) % 10)
    assert noisy.test.targets is dataset.test.targets


def test_the_seed_decides_whose_label_is_wrong() -> None:
    wrong = [
        _parts(_numbered(1000), seed=seed, label_noise=0.2, validation_fraction=0.0).training.targets
        for seed in (1, 1, 2)
    ]

    assert torch.equal(wrong[0], wrong[1])
    assert not torch.equal(wrong[0], wrong[2])


def test_the_classes_are_thinned_out_before_labels_are_made_wrong() -> None:
    """So many labels are wrong as there are samples left for."""
    parts = _parts(_numbered(1000), imbalance={"factor": 10.0}, label_noise=0.5, validation_fraction=0.0)

    assert parts.clean_targets is not None
    kept = torch.bincount(parts.clean_targets, minlength=10).tolist()
    assert kept == [100, 77, 60, 46, 36, 28, 22, 17, 13, 10]
    assert int((parts.training.targets != parts.clean_targets).sum()) == round(sum(kept) / 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_measured", [False, True], ids=["from its images", "from what is known of them"])
def test_the_training_part_normalised_has_mean_0_and_deviation_1_in_every_channel(
    channels: int, is_measured: bool
) -> None:
    images = torch.randint(0, 200, (300, channels, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    moments = moments_of(images) if is_measured else None
    samples = Samples(source=images, targets=torch.arange(300) % 3, moments=moments)
    parts = _parts(_dataset(samples, classes=3), validation_fraction=0.5)

    normalised = parts.normalise(_inputs(parts.training))

    assert normalised.dtype == torch.float32
    assert normalised.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * channels, abs=1e-4)
    assert normalised.std((0, 2, 3), correction=0).tolist() == pytest.approx([1.0] * channels, abs=1e-4)


def test_moments_are_the_sum_and_the_sum_of_squares_of_each_channel() -> None:
    images = torch.tensor([[[[1, 2], [3, 4]], [[255, 255], [255, 255]]]], dtype=torch.uint8)

    assert moments_of(images).tolist() == [[[10, 30], [1020, 4 * 255 * 255]]]


def test_the_mean_colour_is_that_of_the_training_part() -> None:
    colours = torch.tensor([[10, 20, 30], [20, 40, 61]], dtype=torch.uint8)
    samples = Samples(source=colours[:, :, None, None].repeat(5, 1, 4, 4), targets=torch.arange(10) % 2)

    mean_pixel = _parts(_dataset(samples, classes=2), validation_fraction=0.0).normalise.mean_pixel

    assert mean_pixel is not None
    assert (mean_pixel.tolist(), mean_pixel.dtype) == ([15, 30, 46], torch.uint8)


def test_a_channel_without_contrast_becomes_zero_and_not_nan() -> None:
    samples = Samples(source=torch.full((20, 1, 4, 4), 7, dtype=torch.uint8), targets=torch.arange(20) % 2)

    parts = _parts(_dataset(samples, classes=2))

    assert not parts.normalise(samples.source).any()


def _dense(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_laid_out_as_the_spec_says() -> None:
    images = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)
    samples = Samples(source=images.repeat(10, 1, 1, 1), targets=torch.arange(20) % 2)
    dataset = _dataset(samples, classes=2)

    assert _dense(_parts(dataset, channels_last=True).normalise(images))
    assert not _dense(_parts(dataset, channels_last=False).normalise(images))


def test_features_are_standardised_by_the_training_part_and_one_that_never_changes_is_zero() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn((400, 3), generator=generator) * torch.tensor([1e-3, 1.0, 1e6]) + 5
    features = torch.cat([features, torch.full((400, 1), 0.1)], dim=1)
    parts = _parts(_table(features, torch.arange(400).float()), name="linear", validation_fraction=0.5)

    normalised = parts.normalise(_inputs(parts.training))

    assert normalised.mean(0).tolist() == pytest.approx([0.0] * 4, abs=1e-3)
    assert normalised.std(0, correction=0).tolist() == pytest.approx([1.0, 1.0, 1.0, 0.0], abs=1e-3)
    assert parts.normalise.mean_pixel is None
    assert parts.normalise(torch.full((1, 4), 7.0))[0, 3] == 0


def test_targets_are_standardised_by_the_training_part_and_restored() -> None:
    targets = torch.tensor([1.0, 3.0, 5.0, 7.0])

    scale = _parts(_table(torch.zeros(4, 1), targets), name="linear", validation_fraction=0.0).targets

    assert scale is not None
    assert scale == TargetScale(mean=4.0, std=5**0.5)
    assert scale.standardise(targets).tolist() == pytest.approx([x / 5**0.5 for x in (-3.0, -1.0, 1.0, 3.0)])
    assert scale.restore(scale.standardise(targets)).tolist() == pytest.approx(targets.tolist())


def test_a_regression_is_split_at_random_and_has_no_classes() -> None:
    parts = _parts(_table(torch.arange(100.0)[:, None], torch.arange(100.0)), name="diabetes", limit=50)

    assert parts.validation is not None
    assert (len(parts.training), len(parts.validation), len(parts.test)) == (45, 5, 100)
    assert torch.equal(_inputs(parts.training)[:, 0], parts.training.targets)
    assert not {*parts.training.targets.tolist()} & {*parts.validation.targets.tolist()}
    assert (parts.host_labels, parts.clean_targets, parts.class_counts, parts.classes) == (None, None, None, None)
    assert parts.outputs == 1


def test_images_and_features_say_what_a_model_is_built_for() -> None:
    table = _parts(_table(torch.zeros(10, 3), torch.arange(10.0)), name="linear", validation_fraction=0.0)

    assert _parts(_numbered(10, classes=2)).input_shape == ImageShape(channels=1, height=4, width=4)
    assert table.input_shape == Vector(values=3)


def test_the_test_part_of_digits_is_the_same_whatever_the_seed_and_options() -> None:
    digits = [DATASETS["digits"](Digits(), EngineSettings()) for _ in range(2)]

    parts = [_parts(digits[0], seed=1, limit=100), _parts(digits[1], seed=2)]

    assert torch.equal(_inputs(parts[0].test), _inputs(parts[1].test))
    assert len(parts[0].test) == 359


@pytest.mark.parametrize(("part", "targets"), [("training", [0.1] * 7), ("validation", [1.0, 2.0, 3.0, 4.0])])
def test_a_regression_part_of_one_value_is_refused(part: str, targets: list[float]) -> None:
    """It has no R², by which weights are selected."""
    table = _table(torch.zeros(len(targets), 1), torch.tensor(targets))

    with pytest.raises(TargetsConstant, match=f"all targets of the {part} part, "):
        _parts(table, name="linear", validation_fraction=0.0 if part == "training" else 0.25)
