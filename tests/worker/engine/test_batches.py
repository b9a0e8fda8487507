"""Which samples each step takes, and what a batch tells of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

import sam
from lowland.spec.datasets import DatasetSpec
from worker.engine.batches import Batch, Forward, Step, TrainingBatches
from worker.engine.data import Dataset, Samples
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import Parts, prepare
from worker.engine.ranks import ALONE, Ranks
from worker.engine.tasks import TASKS

COUNT = 50


class _Recorder(nn.Module):
    """Remembers what it was shown, and says nothing of it."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs))
        self.shown: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(inputs)
        return self.weight.expand(len(inputs), -1)


def _images(**options: Any) -> Parts:
    """Fifty images, each of one brightness that says which it is, of ten classes that take turns."""
    number = torch.arange(COUNT)
    images = number.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    return _parts(Samples(source=images, targets=number % 10), classes=10, name="digits", **options)


def _features() -> Parts:
    """Fifty samples of a regression with two features, the first of which says which it is."""
    number = torch.arange(COUNT, dtype=torch.float32)
    return _parts(Samples(source=torch.stack([number, number**2], 1), targets=3 * number), classes=None, name="linear")


def _parts(samples: Samples, *, classes: int | None, **options: Any) -> Parts:
    names = None if classes is None else tuple(map(str, range(classes)))
    given = {"validation_fraction": 0.0, **options}
    spec = TypeAdapter[DatasetSpec](DatasetSpec).validate_python(given)
    dataset = Dataset(train=samples, test=samples, classes=names)
    return prepare(dataset, spec, seed=0, device=torch.device("cpu"), channels_last=True)


def _forward(model: nn.Module, parts: Parts, *, label_smoothing: float = 0.0) -> Forward:
    task = TASKS["regression" if parts.classes is None else "classification"](parts)
    return Forward(model=model, task=task, precision="fp32", label_smoothing=label_smoothing, sync_perturbation=False)


def _batches(
    parts: Parts | None = None,
    *,
    accumulate: int = 1,
    seed: int = 0,
    augment: str = "none",
    batch_size: int = 16,
    ranks: Ranks = ALONE,
) -> TrainingBatches:
    return TrainingBatches(
        _images() if parts is None else parts,
        AUGMENTATIONS[augment],
        batch_size=batch_size,
        accumulate=accumulate,
        seed=seed,
        ranks=ranks,
    )


def _plain(model: nn.Module) -> sam.SamOptimizer:
    return sam.Plain(model.parameters(), torch.optim.SGD, lr=0.1)


def _steps(
    batches: TrainingBatches,
    epoch: int = 0,
    *,
    skip: int = 0,
    model: nn.Module | None = None,
    parts: Parts | None = None,
) -> list[Step]:
    model = model or _Recorder()
    forward = _forward(model, parts or _images())
    return list(batches.epoch(epoch, skip=skip, forward=forward, optimizer=_plain(model)))


def _shown(batches: TrainingBatches, epoch: int = 0, *, skip: int = 0, parts: Parts | None = None) -> list[Tensor]:
    """What the model sees in each step."""
    model = _Recorder(1 if parts is not None and parts.classes is None else 10)
    for step in _steps(batches, epoch, skip=skip, model=model, parts=parts):
        step.for_optimizer().losses()
    return model.shown


def test_an_epoch_shows_every_sample_once_the_last_smaller_batch_included() -> None:
    batches = _batches()

    shown = _shown(batches)

    assert len(batches) == 4
    assert [len(images) for images in shown] == [16, 16, 16, 2]
    assert len(torch.cat(shown)[:, 0, 0, 0].unique()) == COUNT


def test_each_epoch_has_an_order_of_its_own_and_each_seed_too() -> None:
    first, same, next_epoch, other_seed = (
        torch.cat(_shown(batches, epoch))
        for batches, epoch in ((_batches(), 0), (_batches(), 0), (_batches(), 1), (_batches(seed=1), 0))
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, other_seed)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_skipped_steps_change_nothing_about_those_that_follow(accumulate: int) -> None:
    whole = _shown(_batches(augment="shift", batch_size=8, accumulate=accumulate), 3)
    rest = _shown(_batches(augment="shift", batch_size=8, accumulate=accumulate), 3, skip=2)

    assert len(rest) == len(whole) - 2 * accumulate
    assert all(torch.equal(a, b) for a, b in zip(whole[2 * accumulate :], rest, strict=True))


def test_what_the_model_draws_is_a_function_of_seed_and_step() -> None:
    def drawn(batches: TrainingBatches, *, skip: int = 0) -> list[float]:
        model = _Recorder()
        steps = batches.epoch(0, skip=skip, forward=_forward(model, _images()), optimizer=_plain(model))
        return [torch.rand(()).item() for _ in steps]

    whole = drawn(_batches())
    torch.manual_seed(123)

    assert drawn(_batches(), skip=1) == whole[1:]
    assert len(set(whole)) == 4
    assert not set(drawn(_batches(seed=1))) & set(whole)


def test_the_batches_of_a_step_are_those_that_would_follow_each_other_without_accumulating() -> None:
    one_by_one, two_by_two = _batches(), _batches(accumulate=2)

    steps = _steps(two_by_two)

    assert len(two_by_two) == len(steps) == 2
    assert [[len(batch) for batch in step.batches] for step in steps] == [[16, 16], [16, 2]]
    assert [step.samples for step in steps] == [32, 18]
    assert all(torch.equal(a, b) for a, b in zip(_shown(one_by_one), _shown(two_by_two), strict=True))


def test_an_optimizer_gets_one_batch_as_it_is_and_several_as_one() -> None:
    (one, *_), (several, *_) = _steps(_batches()), _steps(_batches(accumulate=3))
    instead = sam.Minibatch(nn.Identity(), torch.zeros(16), torch.zeros(16), lambda x, y: x - y)

    accumulated, replaced = several.for_optimizer(), several.for_optimizer(instead)

    assert one.for_optimizer() is one.batches[0]
    assert one.for_optimizer(instead) is instead
    assert isinstance(accumulated, sam.Accumulated)
    assert isinstance(replaced, sam.Accumulated)
    assert accumulated.batches == several.batches
    assert replaced.batches == (instead, *several.batches[1:])


def test_images_are_augmented_before_they_are_normalised_each_step_anew() -> None:
    """What a shift brings in is black."""
    plain, shifted, next_epoch = _shown(_batches()), _shown(_batches(augment="shift")), _shown(_batches(), 1)
    black = _images().normalise(torch.zeros((1, 1, 1, 1), dtype=torch.uint8)).item()

    assert all(len(images.flatten(1)[i].unique()) == 1 for images in (*plain, *next_epoch) for i in range(len(images)))
    for before, after in zip(plain, shifted, strict=True):
        kept = after == before
        assert not kept.all()
        assert torch.equal(after[~kept], torch.full_like(after[~kept], black))


def test_features_are_normalised_and_never_augmented() -> None:
    parts = _features()

    shown = torch.cat(_shown(_batches(parts, augment="cutout"), parts=parts))

    expected = parts.normalise(parts.training.source)
    assert torch.equal(shown[shown[:, 0].argsort()], expected)


def test_a_regression_has_no_classes_and_its_loss_is_the_squared_error_of_the_standardised_target() -> None:
    parts = _features()
    model = nn.Linear(2, 1)

    (step,) = _steps(_batches(parts, batch_size=64), model=model, parts=parts)

    (batch,) = step.batches
    targets = torch.arange(COUNT) * 3.0
    standardised = (targets - targets.mean()) / targets.std(correction=0)
    expected = (model(parts.normalise(parts.training.source))[:, 0] - standardised).square()
    assert batch.labels is None
    assert torch.allclose(batch.losses().sort().values, expected.sort().values, atol=1e-5)


def _batch(
    model: nn.Module, *, clean_targets: Tensor | None = None, weight: float = 1.0, is_counted: bool = True
) -> tuple[Batch, Tensor, Tensor]:
    inputs = torch.randn((6, 3), generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    batch = Batch(
        _forward(model, _images(), label_smoothing=0.1),
        inputs,
        targets,
        targets.clone(),
        clean_targets=clean_targets,
        weight=weight,
        is_counted=is_counted,
        is_last=True,
        optimizer=_plain(model),
    )
    return batch, inputs, targets


def _accuracy(batch: Batch) -> dict[str, float]:
    task = TASKS["classification"](_images())
    tally = task.tally()
    batch.count_into(tally)
    return task.metrics(tally)


def test_losses_are_those_of_the_samples_asked_for() -> None:
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    expected = F.cross_entropy(model(inputs), targets, reduction="none", label_smoothing=0.1)

    part = torch.tensor([4, 1])

    assert torch.equal(batch.losses(), expected)
    assert torch.allclose(batch.losses(part), expected[part])


def test_a_weight_multiplies_every_loss_and_so_the_mean() -> None:
    model = nn.Linear(3, 4)
    (plain, _, _), (heavy, _, _) = _batch(model), _batch(model, weight=1.5)

    assert torch.equal(heavy.losses(), plain.losses() * 1.5)
    assert torch.equal(heavy.losses(torch.tensor([2])), plain.losses()[[2]] * 1.5)
    assert torch.allclose(heavy.mean_loss(model), plain.losses().mean() * 1.5)


def test_the_mean_loss_of_another_model_is_noted_nowhere() -> None:
    model, other = nn.Linear(3, 4), nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)

    loss = batch.mean_loss(other)

    assert torch.allclose(loss, F.cross_entropy(other(inputs), targets, label_smoothing=0.1))
    assert _accuracy(batch) == {}


def test_samples_are_judged_where_their_losses_were_first_asked_for() -> None:
    """The later passes of a step run at perturbed weights."""
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    right = (model(inputs).argmax(1) == targets).double().mean().item()

    batch.losses(torch.tensor([0, 1, 2]))
    batch.losses(torch.tensor([3, 4, 5]))
    _turn_around(model)
    batch.losses()

    assert _accuracy(batch) == {"accuracy": right}


def test_samples_are_judged_once_whatever_later_passes_leave_out() -> None:
    """As ESAM asks: everything, everything again without a graph, then a part."""
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    right = (model(inputs).argmax(1) == targets).double().mean().item()

    batch.losses()
    _turn_around(model)
    with torch.no_grad():
        batch.losses()
    batch.losses(torch.tensor([5, 0]))

    assert _accuracy(batch) == {"accuracy": right}


@torch.no_grad()
def _turn_around(model: nn.Linear) -> None:
    model.weight.neg_()
    model.bias.neg_()


def test_a_batch_that_another_process_counts_is_not_counted_here() -> None:
    batch, _, _ = _batch(nn.Linear(3, 4), is_counted=False)

    batch.losses()

    assert _accuracy(batch) == {}


def test_a_batch_knows_which_of_its_labels_are_wrong() -> None:
    """The model learnt nothing but the given labels: it knows the wrong ones too, and no more of the right ones."""
    model = nn.Linear(3, 4)
    given = torch.tensor([0, 1, 2, 3, 0, 1])
    clean = torch.tensor([0, 1, 2, 3, 2, 3])
    batch, inputs, _ = _batch(model, clean_targets=clean)

    batch.losses()

    answers = model(inputs).argmax(1)
    assert _accuracy(batch) == {
        "accuracy": (answers == given).double().mean().item(),
        "clean_accuracy": (answers == clean).double().mean().item(),
        "memorised": (answers == given)[4:].double().mean().item(),
    }


def test_a_step_counts_the_samples_of_all_its_batches_with_their_labels_before_the_noise() -> None:
    """The model answers with the class of each image before labels were made wrong."""
    parts = _images(label_noise=0.3)
    steps = _steps(_batches(parts, accumulate=2), model=_Telling(parts), parts=parts)
    task = TASKS["classification"](parts)
    tally = task.tally()

    for step in steps:
        step.for_optimizer().losses()
        step.count_into(tally)

    assert task.metrics(tally) == {"accuracy": 35 / 50, "clean_accuracy": 1.0, "memorised": 0.0}


class _Telling(nn.Module):
    """Gives each image of `_images` the class that its brightness says."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(100.0))
        self._normalise = parts.normalise

    def forward(self, images: Tensor) -> Tensor:
        pixels = (self._normalise.std * images + self._normalise.mean)[:, 0, 0, 0]
        return self.weight * F.one_hot(pixels.round().long() % 10, 10)


def test_a_batch_knows_its_classes_in_the_order_of_its_losses() -> None:
    parts = _images()

    for step in _steps(_batches(parts), skip=1, model=_Telling(parts), parts=parts):
        (batch,) = step.batches
        assert batch.labels is not None
        assert (batch.labels.dtype, batch.labels.device.type, len(batch)) == (torch.int64, "cpu", len(batch.labels))
        assert batch.losses().max() < 1e-6
        for label in batch.labels.unique():
            assert batch.losses((batch.labels == label).nonzero()[:, 0]).max() < 1e-6


@pytest.mark.parametrize(("batch_size", "accumulate"), [(16, 1), (7, 1), (16, 3), (8, 3), (7, 4)])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_mean_over_the_ranks_of_their_mean_losses_is_that_of_the_step(
    batch_size: int, accumulate: int, count: int
) -> None:
    """Also where ranks or batches have unequal numbers of samples, and where a rank has none of a batch."""
    parts = _images()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))

    def mean_losses(ranks: Ranks) -> list[Tensor]:
        batches = _batches(parts, batch_size=batch_size, accumulate=accumulate, ranks=ranks)
        return [step.for_optimizer().losses().mean() for step in _steps(batches, model=model, parts=parts)]

    alone = torch.stack(mean_losses(ALONE))
    together = torch.stack([torch.stack(mean_losses(Ranks(rank=rank, count=count))) for rank in range(count)])

    assert torch.allclose(together.mean(0), alone, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(16, 1), (7, 4)])
def test_every_sample_is_counted_by_one_rank_even_where_ranks_have_to_take_the_same(
    batch_size: int, accumulate: int
) -> None:
    parts = _images()
    task = TASKS["classification"](parts)
    tally = task.tally()

    for rank in range(3):
        batches = _batches(parts, batch_size=batch_size, accumulate=accumulate, ranks=Ranks(rank=rank, count=3))
        for step in _steps(batches, model=_Telling(parts), parts=parts):
            step.for_optimizer().losses()
            step.count_into(tally)

    assert tally[0] == COUNT
    assert task.metrics(tally) == {"accuracy": 1.0}


def test_ranks_see_other_samples_and_draw_other_numbers() -> None:
    parts = _images()
    both = [_shown(_batches(parts, ranks=Ranks(rank=rank, count=2)), parts=parts) for rank in range(2)]
    drawn: list[float] = []
    for rank in range(2):
        _steps(_batches(parts, ranks=Ranks(rank=rank, count=2)))
        drawn.append(torch.rand(()).item())

    assert [[len(images) for images in shown] for shown in both] == [[8, 8, 8, 1], [8, 8, 8, 1]]
    assert len(torch.cat([torch.cat(shown) for shown in both])[:, 0, 0, 0].unique()) == COUNT
    assert drawn[0] != drawn[1]


def _drawn(batches: TrainingBatches, count: int, step: int) -> Tensor:
    model = _Recorder()
    batch = batches.sample(count, step, forward=_forward(model, _images()))
    losses = batch.losses()
    assert len(batch) == len(losses) == len(model.shown[0])
    return model.shown[0][:, 0, 0, 0]


def test_a_sample_to_estimate_from_is_drawn_without_repetition_by_seed_and_step() -> None:
    ten, again, later, other_seed, other_rank = (
        _drawn(batches, 10, step)
        for batches, step in (
            (_batches(), 3),
            (_batches(), 3),
            (_batches(), 4),
            (_batches(seed=1), 3),
            (_batches(ranks=Ranks(rank=1, count=2)), 3),
        )
    )

    assert len(ten.unique()) == 10
    assert torch.equal(ten, again)
    assert torch.equal(ten, other_rank)
    assert not torch.equal(ten, later)
    assert not torch.equal(ten, other_seed)
    assert len(_drawn(_batches(), 10**20, 0).unique()) == COUNT


def test_a_sample_to_estimate_from_is_plain_data_and_plain_cross_entropy() -> None:
    """Neither augmented nor smoothed: the Fisher information is of the data and their labels."""
    parts = _images()
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))

    batch = _batches(parts, augment="shift").sample(50, 0, forward=_forward(model, parts, label_smoothing=0.5))

    logits = model(parts.normalise(parts.training.source))
    expected = F.cross_entropy(logits, torch.arange(COUNT) % 10, reduction="none")
    assert batch.labels is not None
    assert torch.allclose(batch.losses().sort().values, expected.sort().values)
    assert torch.bincount(batch.labels).tolist() == [5] * 10


def test_drawing_a_sample_leaves_what_training_draws_alone() -> None:
    batches = _batches(augment="shift")
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    (step, *_) = _steps(batches, model=model)
    step.for_optimizer().losses()
    state, accuracy = torch.get_rng_state(), _accuracy(step.batches[0])

    batches.sample(10, 0, forward=_forward(model, _images())).losses()

    assert torch.equal(torch.get_rng_state(), state)
    assert _accuracy(step.batches[0]) == accuracy


@pytest.mark.parametrize("parts", [_images, _features], ids=["classification", "regression"])
def test_the_losses_of_a_sample_can_be_vectorised(parts: Callable[[], Parts]) -> None:
    """One gradient per sample is what they are for."""
    of = parts()
    model = nn.Sequential(nn.Flatten(), nn.Linear(of.input_shape.values, of.outputs))
    batch = _batches(of).sample(8, 0, forward=_forward(model, of))

    one_by_one = torch.func.vmap(lambda i: batch.losses(i[None])[0])(torch.arange(8))

    assert torch.allclose(one_by_one, batch.losses(), atol=1e-6)


def test_the_arithmetic_of_a_pass_is_the_precision_and_what_it_says_is_float32() -> None:
    seen: list[torch.dtype] = []
    model = nn.Linear(3, 4)
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    plain = _forward(model, _images())

    outputs = [replace(plain, precision=precision).outputs(torch.zeros(2, 3)) for precision in ("fp32", "bf16", "fp16")]

    assert seen == [torch.float32, torch.bfloat16, torch.float16]
    assert [said.dtype for said in outputs] == [torch.float32] * 3
