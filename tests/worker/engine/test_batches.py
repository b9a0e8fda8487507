"""Which samples each step takes, on one rank and on several."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sam
from tests.worker.engine.numbered import (
    COUNT,
    Recorder,
    Telling,
    batches_of,
    counted,
    forward_of,
    numbered_features,
    numbered_images,
    plain,
    shown_in,
    steps_of,
)
from worker.engine.batches import TrainingBatches
from worker.engine.data.parts import Parts
from worker.engine.ranks import ALONE, Ranks
from worker.engine.tasks import TASKS


def test_an_epoch_shows_every_sample_once_the_last_smaller_batch_included() -> None:
    batches = batches_of()

    shown = shown_in(batches)

    assert len(batches) == 4
    assert [len(images) for images in shown] == [16, 16, 16, 2]
    assert len(torch.cat(shown)[:, 0, 0, 0].unique()) == COUNT


def test_each_epoch_has_an_order_of_its_own_and_each_seed_too() -> None:
    first, same, next_epoch, other_seed = (
        torch.cat(shown_in(batches, epoch))
        for batches, epoch in ((batches_of(), 0), (batches_of(), 0), (batches_of(), 1), (batches_of(seed=1), 0))
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, other_seed)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_skipped_steps_change_nothing_about_those_that_follow(accumulate: int) -> None:
    whole = shown_in(batches_of(augment="shift", batch_size=8, accumulate=accumulate), 3)
    rest = shown_in(batches_of(augment="shift", batch_size=8, accumulate=accumulate), 3, skip=2)

    assert len(rest) == len(whole) - 2 * accumulate
    assert all(torch.equal(a, b) for a, b in zip(whole[2 * accumulate :], rest, strict=True))


def test_what_the_model_draws_is_a_function_of_seed_and_step() -> None:
    def drawn(batches: TrainingBatches, *, skip: int = 0) -> list[float]:
        model = Recorder()
        steps = batches.epoch(0, skip=skip, forward=forward_of(model, numbered_images()), optimizer=plain(model))
        return [torch.rand(()).item() for _ in steps]

    whole = drawn(batches_of())
    torch.manual_seed(123)

    assert drawn(batches_of(), skip=1) == whole[1:]
    assert len(set(whole)) == 4
    assert not set(drawn(batches_of(seed=1))) & set(whole)


def test_the_batches_of_a_step_are_those_that_would_follow_each_other_without_accumulating() -> None:
    one_by_one, two_by_two = batches_of(), batches_of(accumulate=2)

    steps = steps_of(two_by_two)

    assert len(two_by_two) == len(steps) == 2
    assert [[len(batch) for batch in step.batches] for step in steps] == [[16, 16], [16, 2]]
    assert [step.samples for step in steps] == [32, 18]
    assert all(torch.equal(a, b) for a, b in zip(shown_in(one_by_one), shown_in(two_by_two), strict=True))


def test_an_optimizer_gets_one_batch_as_it_is_and_several_as_one() -> None:
    (one, *_), (several, *_) = steps_of(batches_of()), steps_of(batches_of(accumulate=3))
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
    plain, shifted, next_epoch = (
        shown_in(batches_of()),
        shown_in(batches_of(augment="shift")),
        shown_in(batches_of(), 1),
    )
    black = numbered_images().normalise(torch.zeros((1, 1, 1, 1), dtype=torch.uint8)).item()

    assert all(len(images.flatten(1)[i].unique()) == 1 for images in (*plain, *next_epoch) for i in range(len(images)))
    for before, after in zip(plain, shifted, strict=True):
        kept = after == before
        assert not kept.all()
        assert torch.equal(after[~kept], torch.full_like(after[~kept], black))


def test_features_are_normalised_and_never_augmented() -> None:
    parts = numbered_features()

    shown = torch.cat(shown_in(batches_of(parts, augment="cutout"), parts=parts))

    expected = parts.normalise(parts.training.source)
    assert torch.equal(shown[shown[:, 0].argsort()], expected)


def test_a_regression_has_no_classes_and_its_loss_is_the_squared_error_of_the_standardised_target() -> None:
    parts = numbered_features()
    model = nn.Linear(2, 1)

    (step,) = steps_of(batches_of(parts, batch_size=64), model=model, parts=parts)

    (batch,) = step.batches
    targets = torch.arange(COUNT) * 3.0
    standardised = (targets - targets.mean()) / targets.std(correction=0)
    expected = (model(parts.normalise(parts.training.source))[:, 0] - standardised).square()
    assert batch.labels is None
    assert torch.allclose(batch.losses().sort().values, expected.sort().values, atol=1e-5)


def test_a_step_counts_the_samples_of_all_its_batches_with_their_labels_before_the_noise() -> None:
    """The model answers with the class of each image before labels were made wrong."""
    parts = numbered_images(label_noise=0.3)
    steps = steps_of(batches_of(parts, accumulate=2), model=Telling(parts), parts=parts)
    task = TASKS["classification"](parts)
    tally = task.tally()

    for step in steps:
        step.for_optimizer().losses()
        step.count_into(tally)

    assert task.metrics(tally) == {"accuracy": 35 / 50, "clean_accuracy": 1.0, "memorised": 0.0}


def test_a_batch_knows_its_classes_in_the_order_of_its_losses() -> None:
    parts = numbered_images()

    for step in steps_of(batches_of(parts), skip=1, model=Telling(parts), parts=parts):
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
    parts = numbered_images()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))

    def mean_losses(ranks: Ranks) -> list[Tensor]:
        batches = batches_of(parts, batch_size=batch_size, accumulate=accumulate, ranks=ranks)
        return [step.for_optimizer().losses().mean() for step in steps_of(batches, model=model, parts=parts)]

    alone = torch.stack(mean_losses(ALONE))
    together = torch.stack([torch.stack(mean_losses(Ranks(rank=rank, count=count))) for rank in range(count)])

    assert torch.allclose(together.mean(0), alone, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(16, 1), (7, 4)])
def test_every_sample_is_counted_by_one_rank_even_where_ranks_have_to_take_the_same(
    batch_size: int, accumulate: int
) -> None:
    parts = numbered_images()
    task = TASKS["classification"](parts)
    tally = task.tally()

    for rank in range(3):
        batches = batches_of(parts, batch_size=batch_size, accumulate=accumulate, ranks=Ranks(rank=rank, count=3))
        for step in steps_of(batches, model=Telling(parts), parts=parts):
            step.for_optimizer().losses()
            step.count_into(tally)

    assert tally[0] == COUNT
    assert task.metrics(tally) == {"accuracy": 1.0}


def test_ranks_see_other_samples_and_draw_other_numbers() -> None:
    parts = numbered_images()
    both = [shown_in(batches_of(parts, ranks=Ranks(rank=rank, count=2)), parts=parts) for rank in range(2)]
    drawn: list[float] = []
    for rank in range(2):
        steps_of(batches_of(parts, ranks=Ranks(rank=rank, count=2)))
        drawn.append(torch.rand(()).item())

    assert [[len(images) for images in shown] for shown in both] == [[8, 8, 8, 1], [8, 8, 8, 1]]
    assert len(torch.cat([torch.cat(shown) for shown in both])[:, 0, 0, 0].unique()) == COUNT
    assert drawn[0] != drawn[1]


def _drawn(batches: TrainingBatches, count: int, step: int) -> Tensor:
    model = Recorder()
    batch = batches.sample(count, step, forward=forward_of(model, numbered_images()))
    losses = batch.losses()
    assert len(batch) == len(losses) == len(model.shown[0])
    return model.shown[0][:, 0, 0, 0]


def test_a_sample_to_estimate_from_is_drawn_without_repetition_by_seed_and_step() -> None:
    ten, again, later, other_seed, other_rank = (
        _drawn(batches, 10, step)
        for batches, step in (
            (batches_of(), 3),
            (batches_of(), 3),
            (batches_of(), 4),
            (batches_of(seed=1), 3),
            (batches_of(ranks=Ranks(rank=1, count=2)), 3),
        )
    )

    assert len(ten.unique()) == 10
    assert torch.equal(ten, again)
    assert torch.equal(ten, other_rank)
    assert not torch.equal(ten, later)
    assert not torch.equal(ten, other_seed)
    assert len(_drawn(batches_of(), 10**20, 0).unique()) == COUNT


def test_a_sample_to_estimate_from_is_plain_data_and_plain_cross_entropy() -> None:
    """Neither augmented nor smoothed: the Fisher information is of the data and their labels."""
    parts = numbered_images()
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))

    batch = batches_of(parts, augment="shift").sample(50, 0, forward=forward_of(model, parts, label_smoothing=0.5))

    logits = model(parts.normalise(parts.training.source))
    expected = F.cross_entropy(logits, torch.arange(COUNT) % 10, reduction="none")
    assert batch.labels is not None
    assert torch.allclose(batch.losses().sort().values, expected.sort().values)
    assert torch.bincount(batch.labels).tolist() == [5] * 10


def test_drawing_a_sample_leaves_what_training_draws_alone() -> None:
    batches = batches_of(augment="shift")
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    (step, *_) = steps_of(batches, model=model)
    step.for_optimizer().losses()
    state, before = torch.get_rng_state(), counted(step.batches[0])

    batches.sample(10, 0, forward=forward_of(model, numbered_images())).losses()

    assert torch.equal(torch.get_rng_state(), state)
    assert counted(step.batches[0]) == before


@pytest.mark.parametrize("parts", [numbered_images, numbered_features], ids=["classification", "regression"])
def test_the_losses_of_a_sample_can_be_vectorised(parts: Callable[[], Parts]) -> None:
    """One gradient per sample is what they are for."""
    of = parts()
    model = nn.Sequential(nn.Flatten(), nn.Linear(of.input_shape.values, of.outputs))
    batch = batches_of(of).sample(8, 0, forward=forward_of(model, of))

    one_by_one = torch.func.vmap(lambda i: batch.losses(i[None])[0])(torch.arange(8))

    assert torch.allclose(one_by_one, batch.losses(), atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "batch_size", "accumulate", "sizes"),
    [
        (33, 16, 1, [[16], [17]]),
        (34, 16, 1, [[16], [16], [2]]),
        (33, 8, 2, [[8, 8], [8, 9]]),
        (41, 16, 2, [[16, 16], [9]]),
        (3, 1, 1, [[1], [1], [1]]),
        (1, 16, 1, [[1]]),
    ],
    ids=str,
)
def test_a_single_sample_that_is_left_over_joins_the_batch_before(
    samples: int, batch_size: int, accumulate: int, sizes: list[list[int]]
) -> None:
    """Alone, a BatchNorm could make nothing of it."""
    batches = batches_of(numbered_images(limit=samples), batch_size=batch_size, accumulate=accumulate)

    assert [[len(batch) for batch in step.batches] for step in steps_of(batches)] == sizes
    assert len(batches) == len(sizes)
