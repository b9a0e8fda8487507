"""What is measured of a regression is what scikit-learn measures, however far from 0 the targets lie."""

import json

import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch import Tensor

from worker.engine.detail_regression import RegressionDetail

CPU = torch.device("cpu")


def _measured(predictions: Tensor, targets: Tensor, *, batch_size: int = 64) -> RegressionDetail:
    detail = RegressionDetail(CPU)
    for batch in zip(predictions.split(batch_size), targets.split(batch_size), strict=True):
        detail.add(*batch)
    return detail


def _guesses(samples: int = 500, *, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    targets = torch.randn(samples, generator=generator) + offset
    return targets + 0.5 * torch.randn(samples, generator=generator) + 0.1, targets


@pytest.mark.parametrize("offset", [0.0, 2000.0, -1e6])
@pytest.mark.parametrize("batch_size", [1, 64, 500])
def test_the_numbers_are_those_of_scikit_learn(offset: float, batch_size: int) -> None:
    predictions, targets = _guesses(offset=offset)

    report = _measured(predictions, targets, batch_size=batch_size).report()

    said, true = predictions.double(), targets.double()
    assert report == {
        "samples": 500,
        "mse": pytest.approx(mean_squared_error(true, said), rel=1e-12),
        "mae": pytest.approx(mean_absolute_error(true, said), rel=1e-12),
        "r2": pytest.approx(r2_score(true, said), rel=1e-9),
    }


def test_r2_survives_targets_whose_squares_leave_no_digits() -> None:
    targets = 1e9 + torch.arange(1000, dtype=torch.float64) % 2
    predictions = targets + 0.25

    # the spread is 1/4, the squared error 1/16
    assert _measured(predictions, targets).r2 == pytest.approx(0.75)


def test_a_first_target_far_from_all_others_does_no_harm() -> None:
    predictions, targets = _guesses()
    targets[0] = 1e5
    predictions[0] = 0

    r2 = _measured(predictions, targets).r2

    assert r2 == pytest.approx(r2_score(targets.double(), predictions.double()), rel=1e-9)


def test_saying_the_mean_explains_nothing_and_saying_the_truth_all() -> None:
    targets = torch.tensor([1.0, 2.0, 6.0])

    assert _measured(torch.full((3,), 3.0), targets).r2 == 0
    assert _measured(targets, targets).report() == {"samples": 3, "mse": 0.0, "mae": 0.0, "r2": 1.0}


@pytest.mark.parametrize("value", [0.1, -1234.567, 3e30])
def test_a_constant_target_has_no_r2(value: float) -> None:
    targets = torch.full((101,), value)

    detail = _measured(targets * 2, targets, batch_size=10)

    assert detail.r2 is None
    assert json.loads(json.dumps(detail.report(), allow_nan=False))["r2"] is None
    assert set(detail.scalars(part="test")) == {"test_mse", "test_mae"}


def test_the_metrics_are_named_after_the_part() -> None:
    detail = _measured(torch.tensor([1.0, 4.0]), torch.tensor([0.0, 4.0]))

    assert detail.scalars(part="validation") == {"validation_mse": 0.5, "validation_mae": 0.5, "validation_r2": 0.875}


def test_a_column_of_predictions_is_not_spread_against_a_row_of_targets() -> None:
    detail = RegressionDetail(CPU)

    with pytest.raises(ValueError, match=r"^predictions are \[3, 1\] and targets \[3\]; give both as \[B\]$"):
        detail.add(torch.zeros(3, 1), torch.zeros(3))


def test_what_was_given_is_kept_by_value() -> None:
    targets = torch.tensor([1.0, 3.0], dtype=torch.float64)
    detail = RegressionDetail(CPU)

    detail.add(torch.tensor([1.0, 2.0], dtype=torch.float64), targets)
    targets.zero_()
    detail.add(torch.tensor([2.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64))

    assert detail.r2 == 0.5


def test_before_a_batch_was_added_there_is_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="no sample has been measured; add a batch first"):
        _ = RegressionDetail(CPU).mse
