"""Gradients that are not finite: where that is known at once the step raises, elsewhere it is made harmless
and told later.

    CPU             a check costs nothing to read: NonFiniteGradient from the step, which changed nothing
    other devices   reading would wait for the device: the flag stays there, multiplies the gradients away,
    and is counted
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sam import _foreach
from sam._foreach import Scalar
from sam.errors import NonFiniteGradient


class Gate:
    """One step's gradient flags, and the count of steps that had a bad one."""

    def __init__(self) -> None:
        self._flags: list[Tensor] = []
        self._bad_steps: Tensor | None = None

    def open(self) -> None:
        """Begin a step: flags of one that was broken off are forgotten."""
        self._flags.clear()

    def watch(self, norm: Scalar, which: Literal["clean", "final"]) -> None:
        """Raise NonFiniteGradient if a number is not finite; of one on another device keep the flag."""
        if isinstance(norm, Tensor):
            self._flags.append(torch.isfinite(norm))
        elif not math.isfinite(norm):
            raise NonFiniteGradient(which)

    def pass_through(self, gradients: Sequence[list[Tensor]]) -> Tensor | None:
        """Look the final gradients over. In place: zeros where a flag is down, else bit for bit the same.

        Returns the flag of the whole step, a boolean scalar; None on the CPU, where a bad one has raised.
        """
        self.watch(_foreach.finiteness(gradients), "final")
        if not self._flags:
            return None
        finite = torch.stack([f.to(self._flags[0].device) for f in self._flags]).all()
        for g in gradients:
            _foreach.keep_if_(g, finite)
        bad = (~finite).long()
        self._bad_steps = bad if self._bad_steps is None else self._bad_steps + bad
        return finite

    def raise_if_bad(self) -> None:
        """Raise NonFiniteGradient if a flag was down since the last call. Waits for the device."""
        count = 0 if self._bad_steps is None else int(self._bad_steps)
        self._bad_steps = None
        if count:
            raise NonFiniteGradient("unknown", steps=count)
