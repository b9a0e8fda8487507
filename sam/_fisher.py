"""The empirical Fisher information's diagonal: F = Σ_i (∇ℓ_i(w))² over single samples, with the data's own labels.

Per-sample gradients come from `torch.func`'s vmap, many samples at once, where model and loss allow it; else from one
pass a sample.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from sam import _foreach
from sam._replay import RandomState
from sam.batch import Batch

#: Numbers that the gradients of one chunk of samples may hold (256 MiB in float32), and samples in one.
_CHUNK_NUMBERS, _CHUNK_SAMPLES = 2**26, 32


def squared_gradients(batch: Batch, count: int, params: Sequence[Tensor], model: nn.Module | None) -> list[Tensor]:
    """F over the first `count` samples of a batch, parallel to the parameters (float32 for half-precision ones).

    The model is in evaluation mode meanwhile, so that BatchNorm takes a sample by itself and its statistics stay.
    `.grad` and the random numbers' state are afterwards as they were found.
    """
    samples = torch.arange(min(count, len(batch)), device=params[0].device)
    start = RandomState(p.device for p in params)
    try:
        with _evaluating(model):
            together = None if model is None else _by_vmap(batch, samples, params, model)
            return _one_by_one(batch, samples, params) if together is None else together
    finally:
        start.replay()


def _one_by_one(batch: Batch, samples: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    total = [torch.zeros_like(p, dtype=_foreach.computing_type(p)) for p in params]
    for sample in samples.split(1):
        with torch.enable_grad():
            gradients = torch.autograd.grad(batch.losses(sample).sum(), params, allow_unused=True)
        pairs = [(f, g.to(f.dtype)) for f, g in zip(total, gradients, strict=True) if g is not None]
        for f, g in _foreach.by_type([f for f, _ in pairs], [g for _, g in pairs]):
            _foreach.add_squares_(f, g)
    return total


class _Losses(nn.Module):
    """A batch's losses as a module around the model, so that `functional_call` can give it other parameters."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        super().__init__()
        self.model = model
        self._batch = batch

    def forward(self, sample: Tensor) -> Tensor:
        return self._batch.losses(sample.view(1)).sum()


def _by_vmap(batch: Batch, samples: Tensor, params: Sequence[Tensor], model: nn.Module) -> list[Tensor] | None:
    """F by vmap; None where that does not work, or not on the model's own parameters."""
    losses = _Losses(model, batch)
    names: dict[Tensor, str] = {p: name for name, p in losses.named_parameters()}
    if any(p not in names for p in params):
        return None

    def loss(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(losses, values, (sample,))

    def information(part: Tensor) -> list[Tensor]:
        gradients = vmap(grad(loss), in_dims=(None, 0), randomness="different")(values, part)
        return [g.to(_foreach.computing_type(g)).square().sum(0) for g in gradients.values()]

    values = {names[p]: p.detach() for p in params}
    chunk = min(_CHUNK_SAMPLES, max(1, _CHUNK_NUMBERS // sum(p.numel() for p in params)))
    try:
        first = information(samples[:1])
    except RuntimeError:  # what vmap cannot do it says so; what the model itself cannot, the other way will say again
        return None
    # A batch that reaches the parameters in some way of its own would leave vmap with gradients of nothing.
    alone = _one_by_one(batch, samples[:1], params)
    if not _are_close(first, alone):
        return None
    total = [torch.zeros_like(f) for f in alone]
    for part in samples.split(chunk):
        total = [f + more for f, more in zip(total, information(part), strict=True)]
    return total


def _are_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Within a hundredth of the whole; not where anything is nan."""
    a, b = (torch.cat([t.reshape(-1).to(expected[0].device) for t in ts]) for ts in (found, expected))
    return bool((a - b).norm() <= 0.01 * b.norm())


@contextmanager
def _evaluating(model: nn.Module | None) -> Iterator[None]:
    training = [] if model is None else [m for m in model.modules() if m.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
