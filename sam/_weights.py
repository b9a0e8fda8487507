"""The weights and their perturbation: the one place in the package that moves weights, and puts them back.

Block     which parameters have a gradient, list beside list
Shift     where they are to go: ε = scale · direction
Weights   goes there, and returns bit for bit from a saved copy
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sam import _foreach


@dataclass(frozen=True, slots=True)
class Block:
    """Parameters `w` of one group, device and dtype, parallel to it their gradients `g`, and the group's ρ."""

    group: Mapping[str, Any]
    w: list[Tensor]
    g: list[Tensor]
    rho: float


@dataclass(frozen=True, slots=True)
class Shift:
    """A perturbation of some parameters: ε = scale · direction, elementwise, times the factor where there is one."""

    w: list[Tensor]
    direction: list[Tensor]
    scale: float | Tensor
    factor: list[Tensor] | None = None


def blocks_of(
    groups: Sequence[Mapping[str, Any]], radii: Sequence[float], values: Callable[[Tensor], Tensor | None]
) -> list[Block]:
    """The parameters that have a value (a gradient, say), in blocks. RuntimeError for a sparse one, which no ε fits."""
    blocks: list[Block] = []
    for group, rho in zip(groups, radii, strict=True):
        pairs = [(p, value) for p in group["params"] if (value := values(p)) is not None and p.numel() > 0]
        if any(value.is_sparse for _, value in pairs):
            raise RuntimeError(
                "sparse gradients cannot be perturbed; give Embedding(sparse=False), or rho=0 everywhere"
            )
        parts = _foreach.by_type([p for p, _ in pairs], [value for _, value in pairs])
        blocks += [Block(group, w, g, rho) for w, g in parts]
    return blocks


def gradient(p: Tensor) -> Tensor | None:
    """A parameter's gradient."""
    return p.grad


class Weights:
    """Moves weights to w + ε and back. Keeps one copy of every parameter it has moved, from step to step."""

    def __init__(self) -> None:
        self.are_perturbed = False
        #: By the parameter's id, which is quicker to look up than it is; it is held, so that no other gets its id.
        self._saved: dict[int, tuple[Tensor, Tensor]] = {}

    @contextmanager
    def perturbed(self, shifts: Sequence[Shift]) -> Iterator[None]:
        """Inside, shifted parameters are w + ε; afterwards w, bit for bit, however the block was left."""
        moved = [(shift.w, [self._copy_of(p) for p in shift.w]) for shift in shifts]
        for w, saved in moved:
            _foreach.copy_(saved, w)
        self.are_perturbed = True
        try:
            _move(shifts)
            del shifts  # they hold a gradient, which would be one more copy of w in the pass to come
            yield
        finally:
            with torch.no_grad():
                for w, saved in moved:
                    _foreach.copy_(w, saved)
            torch.clear_autocast_cache()
            self.are_perturbed = False

    @property
    def copies(self) -> list[Tensor]:
        """The copies kept, to count them."""
        return [copy for _, copy in self._saved.values()]

    def _copy_of(self, p: Tensor) -> Tensor:
        """The tensor that holds p's copy; a new one where p has none, or was converted since."""
        _, copy = self._saved.get(id(p), (p, None))
        if copy is None or copy.dtype != p.dtype or copy.device != p.device or copy.shape != p.shape:
            copy = torch.empty_like(p, requires_grad=False)
            self._saved[id(p)] = (p, copy)
        return copy

    def __reduce__(self) -> tuple[type["Weights"], tuple[()]]:
        return Weights, ()  # copies are scratch: a pickled or deep-copied optimizer makes its own


def _move(shifts: Sequence[Shift]) -> None:
    for shift in shifts:
        _foreach.add_scaled_(shift.w, shift.direction, shift.scale, shift.factor)
    # Under an autocast that began before the step the passes would go on with the weights it has converted already.
    torch.clear_autocast_cache()
