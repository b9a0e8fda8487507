"""The trail of a run: where each step led. It is part of a checkpoint, and becomes path.json and the pictures.

    rows    float64 [recorded, 4 + n]    step | value | gradient norm | learning rate | x_0 ... x_(n-1)

Row 0 is the start, which no step led to: its learning rate is nan. A run of very many numbers leaves steps out, the
same number each time, so that a trail has a bounded size; the latest step is always there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

#: Numbers in a trail, at most: 8 MB in memory, some 20 MB as JSON.
MAX_NUMBERS: Final = 1_000_000

_BEFORE_X: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point of the trail."""

    step: int
    """Steps taken to get there."""
    x: Sequence[float]
    value: float
    gradient_norm: float
    """L2 norm of the function's own gradient, whatever the variant stepped along."""
    learning_rate: float
    """Of the step that led there; nan at the start."""

    @property
    def is_finite(self) -> bool:
        """Whether the run can go on from it."""
        return all(map(math.isfinite, (self.value, self.gradient_norm, *self.x)))


class Trail:
    """The trail of a run of so many steps in so many variables."""

    def __init__(self, *, variables: int, steps: int) -> None:
        width = _BEFORE_X + variables
        self.every = math.ceil((steps + 1) * width / MAX_NUMBERS)
        """Only steps whose number is a multiple of this are recorded, and the latest."""
        self._rows = torch.empty(steps // self.every + 2, width, dtype=torch.float64)
        self._recorded = 0
        self.step = 0
        """Steps taken."""
        self.best_value = math.inf
        """The least value at any step, recorded or not."""
        self.best_step = 0
        """The first step that led to it."""
        self.seconds = 0.0
        """What the steps took, over all attempts."""

    def add(self, place: Place) -> None:
        """Note the next step's outcome."""
        if self.step % self.every:
            self._recorded -= 1  # it was there for being the latest
        self.step = place.step
        if place.value < self.best_value:
            self.best_value, self.best_step = place.value, place.step
        row = [place.step, place.value, place.gradient_norm, place.learning_rate, *place.x]
        self._rows[self._recorded] = torch.tensor(row, dtype=torch.float64)
        self._recorded += 1

    def places(self) -> list[Place]:
        """Those recorded so far."""
        return [
            Place(step=int(step), x=x, value=value, gradient_norm=gradient_norm, learning_rate=learning_rate)
            for step, value, gradient_norm, learning_rate, *x in self._rows[: self._recorded].tolist()
        ]

    @property
    def steps(self) -> npt.NDArray[np.float64]:
        """The recorded steps' numbers, [recorded]."""
        return self._rows[: self._recorded, 0].numpy()

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The function's value at each, [recorded]."""
        return self._rows[: self._recorded, 1].numpy()

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """Where each led, [recorded, n]."""
        return self._rows[: self._recorded, _BEFORE_X:].numpy()

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, as `torch.load(weights_only=True)` reads them."""
        return {
            "step": self.step,
            "best_value": self.best_value,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "rows": self._rows[: self._recorded].clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. RuntimeError for a trail of another size."""
        self.step = state["step"]
        self.best_value = state["best_value"]
        self.best_step = state["best_step"]
        self.seconds = state["seconds"]
        self._recorded = len(state["rows"])
        self._rows[: self._recorded] = state["rows"]
