"""Several batches as one step: the same step as on one large batch, with the memory of a small one."""

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

import sam
from tests.sam.loops import every_closure_variant
from tests.sam.problems import Samples, batch, make, smooth_net

#: Unequal, and none of them a multiple of another: a mean of means would show.
SIZES = (7, 2, 5)

#: Every variant, and the programs of SAM that ask for the losses of single samples; shards reach across batches.
PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in sam.VARIANTS},
    "sam, second order": ("sam", {"second_order": True}),
    "sam, shards": ("sam", {"shard_size": 4}),
    "looksam, every second step": ("looksam", {"k": 2}),
}
every_program = pytest.mark.parametrize(("name", "options"), PROGRAMS.values(), ids=PROGRAMS)


def _pieces(whole: Samples, sizes: Sequence[int] = SIZES) -> list[Samples]:
    xs, ys = whole.x.split(list(sizes)), whole.y.split(list(sizes))
    return [Samples(whole.model, x, y) for x, y in zip(xs, ys, strict=True)]


def _train(name: str, options: dict[str, Any], *, accumulated: bool, scaled: bool = False) -> tuple[nn.Module, Tensor]:
    """The model after three steps, and what they said of the loss."""
    model = smooth_net().double()
    optimizer = make(name, model, **options)
    scaler = GradScaler("cpu", init_scale=8.0) if scaled else None
    said: list[Tensor] = []
    for seed in range(3):
        whole = batch(model, seed=seed, n=sum(SIZES)).double()
        given = sam.Accumulated(_pieces(whole)) if accumulated else whole
        said.append(optimizer.step_on(given, scaler=scaler))
        if scaler is not None:
            scaler.update()
    return model, torch.stack(said)


@every_program
def test_a_step_is_that_on_one_batch_of_all_samples(name: str, options: dict[str, Any]) -> None:
    whole, losses_of_whole = _train(name, options, accumulated=False)
    pieces, losses_of_pieces = _train(name, options, accumulated=True)

    torch.testing.assert_close(pieces.state_dict(), whole.state_dict(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses_of_pieces, losses_of_whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sam.VARIANTS)
def test_a_scaler_scales_every_batch(name: str) -> None:
    plain, _ = _train(name, {}, accumulated=True)
    scaled, _ = _train(name, {}, accumulated=True, scaled=True)

    torch.testing.assert_close(scaled.state_dict(), plain.state_dict(), rtol=1e-12, atol=1e-12)


class _Saved:
    """A tensor that a graph keeps for its backward."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Counted:
    """A batch that notes what the graphs of its kind keep each time it is about to add one."""

    def __init__(self, batch: Samples, alive: "weakref.WeakSet[_Saved]", seen: list[int]) -> None:
        self._batch = batch
        self._alive = alive
        self._seen = seen

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def labels(self) -> Tensor:
        return self._batch.labels

    def losses(self, part: Tensor | None = None) -> Tensor:
        self._seen.append(len(self._alive))
        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved.tensor):
            return self._batch.losses(part)

    def _pack(self, tensor: Tensor) -> _Saved:
        saved = _Saved(tensor)
        self._alive.add(saved)
        return saved


def _alive_before_each_forward(name: str) -> list[int]:
    model = smooth_net()
    alive: weakref.WeakSet[_Saved] = weakref.WeakSet()
    seen: list[int] = []
    pieces = [_Counted(piece, alive, seen) for piece in _pieces(batch(model, n=sum(SIZES)))]
    make(name, model).step_on(sam.Accumulated(pieces))
    return seen


@every_closure_variant
def test_passes_over_the_mean_loss_hold_the_graph_of_one_batch_at_a_time(name: str) -> None:
    seen = _alive_before_each_forward(name)

    assert len(seen) % len(SIZES) == 0
    assert seen == [0] * len(seen)


def test_what_asks_for_the_losses_of_single_samples_holds_the_graphs_of_all() -> None:
    """The count above can tell."""
    first, second, third = _alive_before_each_forward("esam")[: len(SIZES)]

    assert 0 == first < second < third


def test_samples_are_numbered_through_all_batches_and_come_in_the_order_asked_for() -> None:
    whole = batch(smooth_net().double(), n=sum(SIZES)).double()
    accumulated = sam.Accumulated(_pieces(whole))
    part = torch.tensor([13, 0, 8, 6, 7, 9, 1])

    assert len(accumulated) == sum(SIZES)
    assert accumulated.labels is not None
    assert torch.equal(accumulated.labels, whole.labels)
    torch.testing.assert_close(accumulated.losses(), whole.losses())
    torch.testing.assert_close(accumulated.losses(part), whole.losses(part))


def test_a_batch_without_any_of_the_samples_asked_for_is_not_run() -> None:
    shown: list[int] = []
    model = smooth_net()
    model.register_forward_hook(lambda module, inputs, output: shown.append(len(output)))
    accumulated = sam.Accumulated(_pieces(batch(model, n=sum(SIZES))))

    accumulated.losses(torch.tensor([13, 10, 0]))

    assert shown == [1, 2]


def test_batches_without_classes_make_one_without() -> None:
    model = nn.Linear(4, 1)
    values = [sam.Minibatch(model, torch.zeros(n, 4), torch.zeros(n, 1), nn.MSELoss(reduction="none")) for n in (2, 3)]

    assert sam.Accumulated(values).labels is None


def test_at_least_one_batch_is_needed() -> None:
    with pytest.raises(ValueError, match=r"^batches must be at least one, got none$"):
        sam.Accumulated([])


def test_a_batch_that_reduces_its_losses_is_told_so() -> None:
    model = smooth_net()
    x, y = torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64)
    good = sam.Minibatch(model, x, y, nn.CrossEntropyLoss(reduction="none"))
    reduced = sam.Minibatch(model, x, y, nn.CrossEntropyLoss())

    with pytest.raises(ValueError, match=r"one loss for each of 5 samples, shape \[5\], got \[\]"):
        make("sam", model).step_on(sam.Accumulated([good, reduced]))
