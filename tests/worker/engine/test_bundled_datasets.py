"""Datasets that need no files of ours: those that come with scikit-learn, and the one that is drawn."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import datasets

from lowland.spec.datasets import BreastCancer, DatasetSpec, Diabetes, Digits, LinearData
from worker.engine.data import DATASETS, Dataset, Samples
from worker.engine.data.bundled import read_numbers
from worker.engine.settings import EngineSettings


def _settings(tmp_path: Path, data_dir: Path | None = None) -> EngineSettings:
    return EngineSettings(data_dir=data_dir, download_dir=tmp_path / "downloads", cache_dir=tmp_path / "decoded")


def _images(samples: Samples) -> np.ndarray:
    """All inputs of some samples, in order."""
    return samples.inputs(torch.arange(len(samples))).numpy()


def _all_inputs(dataset: Dataset) -> torch.Tensor:
    return torch.cat([part.inputs(torch.arange(len(part))) for part in (dataset.train, dataset.test)])


@pytest.mark.parametrize(
    ("read", "load"),
    [
        pytest.param(lambda: read_numbers("digits.csv.gz", delimiter=","), datasets.load_digits, id="digits"),
        pytest.param(
            lambda: np.column_stack([read_numbers("diabetes_data_raw.csv.gz"), read_numbers("diabetes_target.csv.gz")]),
            partial(datasets.load_diabetes, scaled=False),
            id="diabetes",
        ),
        pytest.param(
            lambda: read_numbers("breast_cancer.csv", delimiter=",", skip=1),
            datasets.load_breast_cancer,
            id="breast-cancer",
        ),
    ],
)
def test_the_files_are_read_as_scikit_learn_reads_them(
    read: Callable[[], np.ndarray], load: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    inputs, targets = load(return_X_y=True)

    assert np.array_equal(read(), np.column_stack([inputs, targets]))


def test_digits_need_nothing_and_are_spread_over_all_of_uint8(tmp_path: Path) -> None:
    dataset = DATASETS["digits"](Digits(), _settings(tmp_path))

    images = _all_inputs(dataset)
    assert images.shape == (1797, 1, 8, 8)
    assert (images.dtype, int(images.min()), int(images.max())) == (torch.uint8, 0, 255)
    assert dataset.train.targets.dtype == torch.int64
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert (torch.bincount(dataset.test.targets) - 36).abs().max() <= 1
    assert dataset.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_the_tumours_need_nothing_and_are_split_class_by_class(tmp_path: Path) -> None:
    dataset = DATASETS["breast-cancer"](BreastCancer(), _settings(tmp_path))

    assert _all_inputs(dataset).shape == (569, 30)
    assert _all_inputs(dataset).dtype == torch.float32
    assert dataset.classes == ("malignant", "benign")
    assert torch.bincount(dataset.train.targets).tolist() == [170, 285]
    assert torch.bincount(dataset.test.targets).tolist() == [42, 72]


def test_the_patients_need_nothing_and_are_in_their_own_units(tmp_path: Path) -> None:
    dataset = DATASETS["diabetes"](Diabetes(), _settings(tmp_path))

    age = _all_inputs(dataset)[:, 0]
    progression = torch.cat([dataset.train.targets, dataset.test.targets])
    assert (int(age.min()), int(age.max())) == (19, 79)
    assert (progression.dtype, int(progression.min()), int(progression.max())) == (torch.float32, 25, 346)
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (354, 88, None)


@pytest.mark.parametrize("spec", [Digits(), Diabetes(), BreastCancer()], ids=lambda spec: spec.name)
def test_a_bundled_set_says_which_files_it_was_read_from(tmp_path: Path, spec: DatasetSpec) -> None:
    sums = DATASETS[spec.name](spec, _settings(tmp_path)).checksums

    assert sums
    assert all(len(bytes.fromhex(sum)) == 32 for sum in sums.values())


def test_linear_is_solved_exactly_where_there_is_no_noise(tmp_path: Path) -> None:
    """Weights found on the training set fit the test part: both were drawn from the same w and b."""
    dataset = DATASETS["linear"](LinearData(variables=3, samples=40, noise=0.0), _settings(tmp_path))

    train, test = (np.c_[_images(part), np.ones(len(part))] for part in (dataset.train, dataset.test))
    weights = np.linalg.lstsq(train, dataset.train.targets.numpy())[0]

    assert (train.shape, test.shape, dataset.classes) == ((40, 4), (10, 4), None)
    assert test @ weights == pytest.approx(dataset.test.targets.numpy(), abs=1e-5)


def test_linear_has_as_much_noise_as_asked_for(tmp_path: Path) -> None:
    def targets(noise: float) -> torch.Tensor:
        spec = LinearData(samples=10_000, noise=noise)
        return DATASETS["linear"](spec, _settings(tmp_path)).train.targets

    assert float((targets(0.5) - targets(0.0)).std()) == pytest.approx(0.5, rel=0.05)


def test_linear_is_decided_by_its_own_seed(tmp_path: Path) -> None:
    first, again, other = (
        DATASETS["linear"](LinearData(data_seed=seed), _settings(tmp_path)).train.targets for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("samples", "test"), [(2, 1), (7, 1), (8, 2), (100, 25)])
def test_linear_s_samples_are_the_training_set_and_a_quarter_more_the_test_part(
    tmp_path: Path, samples: int, test: int
) -> None:
    dataset = DATASETS["linear"](LinearData(samples=samples), _settings(tmp_path))

    assert (len(dataset.train), len(dataset.test)) == (samples, test)
