"""What is measured of a classifier is what slower, more obvious computations measure."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
)
from torch import Tensor

from worker.engine.detail import Detail

CPU = torch.device("cpu")
CLASSES = 7


def _measured(logits: Tensor, targets: Tensor, *, batch_size: int = 64) -> Detail:
    detail = Detail(logits.shape[1], CPU)
    for batch in zip(logits.split(batch_size), targets.split(batch_size), strict=True):
        detail.add(*batch)
    return detail


def _guesses(samples: int = 1000, classes: int = CLASSES, *, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, and the true classes, the first of which are rare."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.multinomial(torch.arange(1.0, classes + 1), samples, replacement=True, generator=generator)
    logits = torch.randn(samples, classes, generator=generator) * scale
    logits[torch.arange(samples), targets] += 1.5
    return logits, targets


def _saying(*answers: tuple[int, int], classes: int = 3) -> Detail:
    """A classifier that is sure: (true class, class it says) for each sample."""
    targets, said = torch.tensor(answers).unbind(1)
    return _measured(torch.eye(classes)[said] * 50, targets)


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    logits, targets = _guesses()

    detail = _measured(logits, targets)

    assert detail.confusion == confusion_matrix(targets, logits.argmax(1)).tolist()
    assert _saying((0, 1), (0, 1), (2, 2)).confusion == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_accuracies_are_those_of_scikit_learn() -> None:
    logits, targets = _guesses()
    predicted = logits.argmax(1)

    detail = _measured(logits, targets)

    assert detail.accuracy == accuracy_score(targets, predicted)
    assert detail.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, predicted))
    assert detail.accuracy != pytest.approx(detail.balanced_accuracy, abs=1e-3)


def test_precision_recall_and_f1_are_those_of_scikit_learn() -> None:
    logits, targets = _guesses()

    classes = _measured(logits, targets).classes()

    expected = precision_recall_fscore_support(targets, logits.argmax(1))
    measured = [(one.precision, one.recall, one.f1, one.samples) for one in classes]
    assert np.array(measured, dtype=float) == pytest.approx(np.array(expected).T)


def test_a_class_without_samples_has_no_numbers_and_one_never_said_no_precision() -> None:
    detail = _saying((0, 0), (0, 2), (1, 0))

    report = detail.report(["a", "b", "c"], [5, 6, 0])

    assert report["classes"] == [
        {"name": "a", "training_samples": 5, "samples": 2, "recall": 0.5, "precision": 0.5, "f1": 0.5},
        {"name": "b", "training_samples": 6, "samples": 1, "recall": 0.0, "precision": None, "f1": 0.0},
        {"name": "c", "training_samples": 0, "samples": 0, "recall": None, "precision": None, "f1": None},
    ]
    assert detail.balanced_accuracy == 0.25


def test_nll_is_the_log_loss_and_brier_the_squared_distance_sample_by_sample() -> None:
    logits, targets = _guesses()
    probabilities = torch.softmax(logits.double(), dim=1).numpy()

    detail = _measured(logits, targets)

    brier = sum(
        (p - (c == int(target))) ** 2
        for row, target in zip(probabilities, targets, strict=True)
        for c, p in enumerate(row)
    )
    assert detail.nll == pytest.approx(log_loss(targets, probabilities, labels=range(CLASSES)), rel=1e-6)
    assert detail.brier == pytest.approx(brier / len(targets), rel=1e-6)


@pytest.mark.parametrize("scale", [0.3, 2.0, 8.0])
def test_ece_and_its_bins_are_those_counted_sample_by_sample(scale: float) -> None:
    logits, targets = _guesses(scale=scale)
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for row, target in zip(torch.softmax(logits.double(), dim=1), targets, strict=True):
        confidence, predicted = (value.item() for value in row.max(0))
        (chosen,) = [m for m in range(15) if m / 15 < confidence <= (m + 1) / 15]
        bins[chosen].append((confidence, predicted == target.item()))

    detail = _measured(logits, targets)

    means = [tuple(sum(column) / len(samples) for column in zip(*samples, strict=True)) for samples in bins if samples]
    ece = sum(
        len(samples) / len(targets) * abs(accuracy - confidence)
        for samples, (confidence, accuracy) in zip([samples for samples in bins if samples], means, strict=True)
    )
    reliability = detail.reliability()
    full = [one for one in reliability if one.count]
    assert [one.count for one in reliability] == [len(samples) for samples in bins]
    assert np.array([(one.confidence, one.accuracy) for one in full]) == pytest.approx(np.array(means), rel=1e-6)
    assert {(one.confidence, one.accuracy) for one in reliability if not one.count} <= {(None, None)}
    assert detail.ece == pytest.approx(ece, rel=1e-5)


def test_the_bins_are_15_of_equal_width_closed_above() -> None:
    reliability = _measured(torch.tensor([[0.0, 200.0], [0.0, 0.0]]), torch.tensor([1, 1])).reliability()

    assert [(one.above, one.up_to) for one in reliability] == [(m / 15, (m + 1) / 15) for m in range(15)]
    assert [m for m, one in enumerate(reliability) if one.count] == [7, 14]


def test_ece_is_0_for_who_knows_what_he_knows_and_large_for_who_is_sure_and_wrong() -> None:
    # says 3/4 four times, and is right three times
    honest = _measured(torch.tensor([[math.log(3), 0.0]] * 4), torch.tensor([0, 0, 0, 1]))

    assert honest.ece == pytest.approx(0, abs=1e-6)
    assert _saying((0, 1), (1, 2)).ece == pytest.approx(1)


def test_too_sure_here_does_not_make_up_for_too_unsure_there() -> None:
    # surely 0 and wrong; twice 1/2 sure and right
    detail = _measured(torch.tensor([[100.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([1, 0, 0]))

    assert detail.ece == pytest.approx(2 / 3)


def test_groups_are_the_mean_recall_of_classes_with_more_than_100_20_to_100_and_fewer_than_20_samples() -> None:
    counts = [500, 101, 100, 20, 19, 0]
    # of class c, c + 1 samples in 8 are told
    answers = [(c, c if n <= c else (c + 1) % 6) for c in range(6) for n in range(8)]

    groups = _saying(*answers, classes=6).groups(counts)

    assert groups == {"many": (1 + 2) / 16, "medium": (3 + 4) / 16, "few": (5 + 6) / 16}


def test_a_class_counts_in_its_group_once_however_many_samples_it_has() -> None:
    detail = _saying(*[(0, 0)] * 9, (1, 0))

    assert detail.groups([10, 10, 10]) == {"few": 0.5}


def test_a_group_no_class_of_which_is_tested_is_absent() -> None:
    detail = _saying((0, 0), (1, 1))

    assert detail.groups([200, 200, 5]) == {"many": 1.0}
    assert set(detail.scalars([200, 50, 5], part="test")) == {
        "test_nll",
        "test_ece",
        "test_balanced_accuracy",
        "test_accuracy_many",
        "test_accuracy_medium",
    }


def test_as_many_counts_and_names_as_classes_are_needed() -> None:
    detail = _saying((0, 0))

    with pytest.raises(ValueError, match=r"zip\(\)"):
        detail.groups([1, 2])
    with pytest.raises(ValueError, match=r"zip\(\)"):
        detail.report(["a", "b", "c", "d"], [1, 2, 3])


@pytest.mark.parametrize("batch_size", [1, 33, 1000])
def test_how_the_samples_are_batched_and_ordered_is_of_no_account(batch_size: int) -> None:
    logits, targets = _guesses()
    names, counts = [f"class {c}" for c in range(CLASSES)], [3, 30, 300, 4, 40, 400, 5]
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))

    report = _measured(logits, targets).report(names, counts)
    again = _measured(logits[order], targets[order], batch_size=batch_size).report(names, counts)

    assert again["confusion"] == report["confusion"]
    assert again["classes"] == report["classes"]
    assert [again[name] for name in ("nll", "brier", "ece")] == pytest.approx(
        [report[name] for name in ("nll", "brier", "ece")], rel=1e-12
    )


def test_the_report_is_json_and_agrees_with_the_metrics() -> None:
    logits, targets = _guesses()
    names, counts = [f"class {c}" for c in range(CLASSES)], [3, 30, 300, 4, 40, 400, 5]
    detail = _measured(logits, targets)

    report = detail.report(names, counts)

    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report) == [
        "samples",
        "accuracy",
        "balanced_accuracy",
        "nll",
        "brier",
        "ece",
        "groups",
        "classes",
        "confusion",
        "reliability",
    ]
    assert report["samples"] == len(targets)
    assert detail.scalars(counts, part="test") == {
        "test_nll": report["nll"],
        "test_ece": report["ece"],
        "test_balanced_accuracy": report["balanced_accuracy"],
        **{f"test_accuracy_{group}": recall for group, recall in detail.groups(counts).items()},
    }


def test_logits_that_need_a_gradient_leave_no_graph_behind() -> None:
    detail = Detail(2, CPU)

    detail.add(torch.zeros(3, 2, requires_grad=True) * 1, torch.tensor([0, 1, 1]))

    assert detail.nll == pytest.approx(math.log(2))


def test_huge_logits_are_measured_and_only_those_that_are_not_finite_make_nll_so() -> None:
    detail = _measured(torch.tensor([[3e38, -3e38], [-3e38, 3e38]]), torch.tensor([0, 1]))
    diverged = _measured(torch.tensor([[math.inf, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))

    assert (detail.nll, detail.brier, detail.ece) == (0.0, 0.0, 0.0)
    assert math.isnan(diverged.nll)


def test_before_a_batch_was_added_there_is_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="no sample has been measured; add a batch first"):
        _ = Detail(3, CPU).nll
