"""What a tally says of the samples counted into it, beside the same numbers worked out sample by sample."""

from dataclasses import replace

import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from torch import Tensor

from lowland.spec.datasets import Digits, LinearData
from worker.engine.data import Dataset, Samples
from worker.engine.data.parts import Parts, prepare
from worker.engine.tasks import TASKS, Classification, Regression, Task

COUNT = 40


def _classification() -> Parts:
    images = torch.zeros((COUNT, 1, 2, 2), dtype=torch.uint8)
    return _prepared(Samples(source=images, targets=torch.arange(COUNT) % 4), classes=("a", "b", "c", "d"))


def _regression(targets: Tensor) -> Parts:
    return _prepared(Samples(source=torch.randn(len(targets), 2), targets=targets), classes=None)


def _prepared(samples: Samples, *, classes: tuple[str, ...] | None) -> Parts:
    dataset = Dataset(train=samples, test=samples, classes=classes)
    spec = LinearData(validation_fraction=0) if classes is None else Digits(validation_fraction=0)
    return prepare(dataset, spec, seed=0, device=torch.device("cpu"), channels_last=False)


def _counted(task: Task, outputs: Tensor, *targets: Tensor, sizes: tuple[int, ...] = (7, 1, 32)) -> dict[str, float]:
    """The metrics after counting in batches of unequal sizes."""
    tally = task.tally()
    assert tally.dtype == torch.float64
    for said, *wanted in zip(outputs.split(list(sizes)), *(one.split(list(sizes)) for one in targets), strict=True):
        task.count(tally, said, *wanted)
    return task.metrics(tally)


def _outputs(columns: int) -> Tensor:
    return torch.randn((COUNT, columns), generator=torch.Generator().manual_seed(0))


def test_every_task_has_a_name_and_a_score() -> None:
    assert {name: made(parts).score for (name, made), parts in zip(TASKS.items(), _both(), strict=True)} == {
        "classification": "accuracy",
        "regression": "r2",
    }


def _both() -> list[Parts]:
    return [_classification(), _regression(torch.arange(COUNT) * 1.0)]


@pytest.mark.parametrize("parts", _both(), ids=TASKS)
def test_of_no_sample_nothing_is_said(parts: Parts) -> None:
    task = TASKS["regression" if parts.classes is None else "classification"](parts)

    assert task.metrics(task.tally()) == {}


def test_accuracy_is_the_share_of_samples_whose_largest_output_is_their_class() -> None:
    outputs, targets = _outputs(4), torch.arange(COUNT) % 4

    metrics = _counted(Classification(_classification()), outputs, targets)

    right = sum(
        max(range(4), key=lambda c: said[c]) == wanted
        for said, wanted in zip(outputs.tolist(), targets.tolist(), strict=True)
    )
    assert metrics == {"accuracy": right / COUNT}


def test_the_loss_of_a_class_is_the_cross_entropy_with_what_is_smoothed() -> None:
    outputs, targets = _outputs(4), torch.arange(COUNT) % 4
    task = Classification(_classification())
    log_likely = outputs.log_softmax(1)
    wanted = F.one_hot(targets, 4).float()

    assert torch.allclose(task.losses(outputs, targets), -(wanted * log_likely).sum(1), atol=1e-6)
    assert torch.allclose(
        task.losses(outputs, targets, label_smoothing=0.2), -((0.8 * wanted + 0.05) * log_likely).sum(1), atol=1e-6
    )


def test_memorised_is_the_share_of_the_wrong_labels_that_are_answered() -> None:
    """Samples 0 to 9 have a wrong label; of these the first four are answered as labelled, the rest as before."""
    clean = torch.arange(COUNT) % 4
    noisy = torch.where(torch.arange(COUNT) < 10, (clean + 1) % 4, clean)
    answers = torch.where(torch.arange(COUNT) < 4, noisy, clean)

    metrics = _counted(Classification(_classification()), F.one_hot(answers, 4).float(), noisy, clean)

    assert metrics == {"accuracy": 34 / 40, "clean_accuracy": 36 / 40, "memorised": 4 / 10}


def test_where_no_label_is_wrong_nothing_is_said_of_noise() -> None:
    """Of few samples, or with little noise, rounding leaves none."""
    targets = torch.arange(COUNT) % 4

    assert _counted(Classification(_classification()), F.one_hot(targets, 4).float(), targets, targets) == {
        "accuracy": 1.0
    }


def test_what_is_learnt_of_a_value_is_standardised_over_the_training_part() -> None:
    targets = torch.arange(COUNT) * 2.5 + 100
    outputs = _outputs(1)
    standardised = (targets - targets.mean()) / targets.std(correction=0)

    losses = Regression(_regression(targets)).losses(outputs, targets)

    assert losses.shape == (COUNT,)
    assert torch.allclose(losses, (outputs[:, 0] - standardised) ** 2, atol=1e-5)


def test_r2_and_mse_are_those_of_scikit_learn_in_the_targets_own_units() -> None:
    targets = torch.randn(COUNT, generator=torch.Generator().manual_seed(1)) * 2.5 + 100
    parts = _regression(targets)
    assert parts.targets is not None
    outputs = 0.3 * _outputs(1) + parts.targets.standardise(targets)[:, None]

    metrics = _counted(Regression(parts), outputs, targets)

    said = outputs[:, 0].double() * parts.targets.std + parts.targets.mean
    wanted = targets.double()
    assert metrics == pytest.approx(
        {"mse": sklearn.metrics.mean_squared_error(wanted, said), "r2": sklearn.metrics.r2_score(wanted, said)},
        rel=1e-4,
    )


@pytest.mark.parametrize("value", [0.0, 0.122, 0.233, 0.418, 7.3])
def test_samples_that_all_have_one_value_have_no_r2(value: float) -> None:
    """A small validation part may be like that. Of seven of these values rounding leaves a variance above 0."""
    parts = _regression(torch.tensor([-1.0, 1.0]))

    metrics = _counted(Regression(parts), torch.ones(7, 1), torch.full((7,), value), sizes=(1,) * 7)

    assert set(metrics) == {"mse"}


def test_a_regression_needs_the_scale_of_its_targets() -> None:
    with pytest.raises(TypeError, match="target scale"):
        Regression(replace(_regression(torch.arange(4.0)), targets=None))


def test_tallies_of_two_processes_add_up() -> None:
    targets = torch.randn(COUNT, generator=torch.Generator().manual_seed(1))
    outputs = _outputs(1)
    task = Regression(_regression(targets))
    first, second, whole = task.tally(), task.tally(), task.tally()

    task.count(first, outputs[:15], targets[:15])
    task.count(second, outputs[15:], targets[15:])
    task.count(whole, outputs, targets)

    assert task.metrics(first + second) == pytest.approx(task.metrics(whole), rel=1e-12)
