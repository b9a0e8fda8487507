"""The empirical Fisher information's diagonal: F = Σ_i (∇ℓ_i(w))² over single samples, with the data's own labels.

Per-sample gradients come from `torch.func.vmap` where the model allows it (on a GPU, where a sample by itself would
leave the device idle), else from one pass a sample.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sam import _foreach
from sam._replay import RandomState
from sam.batch import Batch


def squared_gradients(batch: Batch, count: int, params: Sequence[Tensor], model: nn.Module | None) -> list[Tensor]:
    """F over the first `count` samples of a batch, parallel to the parameters (float32 for half-precision ones).

    The model is in evaluation mode meanwhile, so that BatchNorm takes a sample by itself and its statistics stay.
    `.grad` and the random numbers' state are afterwards as they were found.
    """
    total = [torch.zeros_like(p, dtype=_foreach.computing_type(p)) for p in params]
    start = RandomState(p.device for p in params)
    device = params[0].device
    with _evaluating(model), torch.enable_grad():
        for i in range(min(count, len(batch))):
            loss = batch.losses(torch.tensor([i], device=device)).sum()
            gradients = torch.autograd.grad(loss, params, allow_unused=True)
            pairs = [(f, g.to(f.dtype)) for f, g in zip(total, gradients, strict=True) if g is not None]
            with torch.no_grad():
                for f, g in _foreach.by_type([f for f, _ in pairs], [g for _, g in pairs]):
                    _foreach.add_squares_(f, g)
    start.replay()
    return total


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
