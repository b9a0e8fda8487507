"""Which samples each step takes, and what a batch tells of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowland.spec.job import JobSpec
from worker.engine.batches import Batch, TrainingBatches
from worker.engine.data import Dataset, Samples
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import prepare


class _Recorder(nn.Module):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images)
        return torch.zeros(len(images), 10)


def _batches(
    *, count: int = 50, batch_size: int = 16, seed: int = 0, augment: str = "none", label_smoothing: float = 0.0
) -> TrainingBatches:
    number = torch.arange(count)
    images = number.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    samples = Samples(images=images, labels=number % 10)
    spec = JobSpec.parse({"dataset": {"name": "digits", "validation_fraction": 0.0}}).dataset
    assert spec is not None
    parts = prepare(
        Dataset(train=samples, test=samples, classes=10), spec, seed=0, device=torch.device("cpu"), channels_last=True
    )
    return TrainingBatches(
        parts,
        AUGMENTATIONS[augment],
        batch_size=batch_size,
        seed=seed,
        label_smoothing=label_smoothing,
        precision="fp32",
    )


def _shown(batches: TrainingBatches, epoch: int, *, skip: int = 0) -> list[Tensor]:
    model = _Recorder()
    for batch in batches.epoch(epoch, skip=skip, model=model):
        batch.losses()
    return model.shown


def test_an_epoch_shows_every_sample_once_the_last_smaller_batch_included() -> None:
    shown = _shown(_batches(), 0)

    assert [len(images) for images in shown] == [16, 16, 16, 2]
    assert len(torch.cat(shown)[:, 0, 0, 0].unique()) == 50


def test_each_epoch_has_an_order_of_its_own_and_each_seed_too() -> None:
    first, same, next_epoch, other_seed = (
        torch.cat(_shown(batches, epoch))
        for batches, epoch in ((_batches(), 0), (_batches(), 0), (_batches(), 1), (_batches(seed=1), 0))
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, other_seed)


def test_skipped_batches_change_nothing_about_those_that_follow() -> None:
    whole = _shown(_batches(augment="shift"), 3)
    rest = _shown(_batches(augment="shift"), 3, skip=2)

    assert len(rest) == 2
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))


def test_what_the_model_draws_is_a_function_of_seed_and_step() -> None:
    def drawn(batches: TrainingBatches, *, skip: int) -> list[float]:
        return [torch.rand(()).item() for _ in batches.epoch(0, skip=skip, model=_Recorder())]

    whole = drawn(_batches(), skip=0)
    torch.manual_seed(123)

    assert drawn(_batches(), skip=1) == whole[1:]
    assert len(set(whole)) == 4
    assert not set(drawn(_batches(seed=1), skip=0)) & set(whole)


def _batch(model: nn.Module) -> tuple[Batch, Tensor, Tensor]:
    images = torch.randn((6, 3), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    return Batch(model, images, labels, labels.clone(), label_smoothing=0.1, precision="fp32"), images, labels


def test_losses_are_those_of_the_samples_asked_for() -> None:
    model = nn.Linear(3, 4)
    batch, images, labels = _batch(model)
    expected = F.cross_entropy(model(images), labels, reduction="none", label_smoothing=0.1)

    part = torch.tensor([4, 1])

    assert torch.equal(batch.losses(), expected)
    assert torch.allclose(batch.losses(part), expected[part])


def test_samples_are_judged_where_their_losses_were_first_asked_for() -> None:
    """The later passes of a step run at perturbed weights."""
    model = nn.Linear(3, 4)
    batch, images, labels = _batch(model)
    right = int((model(images).argmax(1) == labels).sum())

    batch.losses(torch.tensor([0, 1, 2]))
    batch.losses(torch.tensor([3, 4, 5]))
    with torch.no_grad():
        model.weight.neg_()
        model.bias.neg_()
    batch.losses()

    assert int(batch.correct()) == right


def test_samples_are_judged_once_whatever_later_passes_leave_out() -> None:
    """As ESAM asks: everything, everything again without a graph, then a part."""
    model = nn.Linear(3, 4)
    batch, images, labels = _batch(model)
    right = int((model(images).argmax(1) == labels).sum())

    batch.losses()
    with torch.no_grad():
        model.weight.neg_()
        batch.losses()
    batch.losses(torch.tensor([5, 0]))

    assert int(batch.correct()) == right


def test_a_batch_knows_its_classes_in_the_order_of_its_losses() -> None:
    """The model gives each image the class that its first pixel says."""

    class Telling(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            pixels = batches._parts.normalise.std * images[:, 0, 0, 0] + batches._parts.normalise.mean
            return 100.0 * F.one_hot(pixels.round().long() % 10, 10)

    batches = _batches()
    for batch in batches.epoch(0, skip=1, model=Telling()):
        assert (batch.labels.dtype, batch.labels.device.type, len(batch)) == (torch.int64, "cpu", len(batch.labels))
        assert batch.losses().max() < 1e-6
        logits = Telling()(batch._images)
        assert torch.equal(logits.argmax(1), batch.labels)


def test_a_sample_to_estimate_from_is_drawn_without_repetition_by_seed_and_step() -> None:
    def drawn(batches: TrainingBatches, count: int, step: int) -> Tensor:
        model = _Recorder()
        batch = batches.sample(count, step, model=model)
        losses = batch.losses()
        assert len(batch) == len(losses) == len(model.shown[0])
        return model.shown[0][:, 0, 0, 0]

    ten, again, later, other_seed = (
        drawn(batches, 10, step)
        for batches, step in ((_batches(), 3), (_batches(), 3), (_batches(), 4), (_batches(seed=1), 3))
    )

    assert len(ten.unique()) == 10
    assert torch.equal(ten, again)
    assert not torch.equal(ten, later)
    assert not torch.equal(ten, other_seed)
    assert len(drawn(_batches(), 10**20, 0).unique()) == 50


def test_a_sample_to_estimate_from_is_plain_data_and_plain_cross_entropy() -> None:
    """Neither augmented nor smoothed: the Fisher information is of the data and their labels."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    batches = _batches(augment="shift", label_smoothing=0.5)

    batch = batches.sample(50, 0, model=model)

    assert batch.labels is not None
    images = torch.arange(50).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    logits = model(batches._parts.normalise(images))
    expected = F.cross_entropy(logits, torch.arange(50) % 10, reduction="none")
    assert torch.allclose(batch.losses().sort().values, expected.sort().values)
    assert torch.bincount(batch.labels).tolist() == [5] * 10


def test_drawing_a_sample_leaves_what_training_draws_alone() -> None:
    batches = _batches(augment="shift")
    (batch, *_) = batches.epoch(0, skip=0, model=_Recorder())
    batch.losses()
    state, right = torch.get_rng_state(), int(batch.correct())

    batches.sample(10, 0, model=_Recorder()).losses()

    assert torch.equal(torch.get_rng_state(), state)
    assert int(batch.correct()) == right


def test_the_losses_of_a_sample_can_be_vectorised() -> None:
    """One gradient per sample is what they are for."""
    batch = _batches().sample(8, 0, model=nn.Sequential(nn.Flatten(), nn.Linear(16, 10)))

    one_by_one = torch.func.vmap(lambda i: batch.losses(i[None])[0])(torch.arange(8))

    assert torch.allclose(one_by_one, batch.losses())
