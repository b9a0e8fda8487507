"""What a run learns: the loss of a sample, and how well the samples of a part are answered.

classification   cross-entropy; accuracy
regression       squared error of the standardised target; R², and the mean squared error in the target's own units

A tally is a float64 tensor of sums over the samples met so far. It stays on the device, so that counting waits for
nothing, is added up over processes, and is kept in a checkpoint.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engine.data.parts import Parts

#: What float64 rounds off, relative to the number.
_EPSILON: Final = torch.finfo(torch.float64).eps


class Task(Protocol):
    """What the loop asks of a task."""

    score: ClassVar[str]
    """The metric that weights are selected by, the higher the better: "accuracy" or "r2"."""

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss of each sample, float32 [B]: from outputs [B, K] and targets [B] as the dataset has them."""
        ...

    def tally(self) -> Tensor:
        """An empty one."""
        ...

    def count(self, tally: Tensor, outputs: Tensor, targets: Tensor, clean_targets: Tensor | None = None) -> None:
        """Add some samples to a tally, in place; with the targets before label noise where there is any."""
        ...

    def metrics(self, tally: Tensor) -> dict[str, float]:
        """What a tally says; nothing where no sample was counted. Waits for the device."""
        ...


class Classification:
    """Which class a sample belongs to."""

    score: ClassVar[str] = "accuracy"

    def __init__(self, parts: Parts) -> None:
        self._device = parts.device

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(outputs, targets, reduction="none", label_smoothing=label_smoothing)

    def tally(self) -> Tensor:
        """Samples, those answered as labelled; mislabelled ones, those answered so; all answered as before it."""
        return torch.zeros(5, dtype=torch.float64, device=self._device)

    def count(self, tally: Tensor, outputs: Tensor, targets: Tensor, clean_targets: Tensor | None = None) -> None:
        """Count hits."""
        answers = outputs.argmax(1)
        right = answers == targets
        tally[0] += len(targets)
        tally[1] += right.sum()
        if clean_targets is not None:
            mislabelled = targets != clean_targets
            tally[2] += mislabelled.sum()
            tally[3] += (right & mislabelled).sum()
            tally[4] += (answers == clean_targets).sum()

    def metrics(self, tally: Tensor) -> dict[str, float]:
        """The accuracy; with label noise also that on the clean labels, and which part of the wrong ones is known."""
        samples, right, mislabelled, memorised, clean = tally.tolist()
        if samples == 0:
            return {}
        noise = {"clean_accuracy": clean / samples, "memorised": memorised / mislabelled} if mislabelled else {}
        return {"accuracy": right / samples, **noise}


class Regression:
    """Which value a sample has. The model's output is standardised: mean 0 and deviation 1 over the training part."""

    score: ClassVar[str] = "r2"

    def __init__(self, parts: Parts) -> None:
        if parts.targets is None:
            raise TypeError("the parts of a regression have a target scale")
        self._scale = parts.targets
        self._device = parts.device

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Squared error of the standardised target; there is no label to be smoothed."""
        return (outputs[:, 0] - self._scale.standardise(targets)).square()

    def tally(self) -> Tensor:
        """Samples; sum and sum of squares of the standardised target; sum of the squared errors."""
        return torch.zeros(4, dtype=torch.float64, device=self._device)

    def count(self, tally: Tensor, outputs: Tensor, targets: Tensor, clean_targets: Tensor | None = None) -> None:
        """Count errors."""
        wanted = self._scale.standardise(targets).double()
        tally[0] += len(targets)
        tally[1] += wanted.sum()
        tally[2] += wanted.square().sum()
        tally[3] += (outputs[:, 0].double() - wanted).square().sum()

    def metrics(self, tally: Tensor) -> dict[str, float]:
        """The mean squared error, and R² unless all targets are the same: then no share can be explained."""
        samples, total, squares, errors = tally.tolist()
        if samples == 0:
            return {}
        spread = squares - total**2 / samples
        # Of samples that all have one value rounding may leave a little.
        explained = {"r2": 1 - errors / spread} if spread > samples * _EPSILON * squares else {}
        return {"mse": errors / samples * self._scale.std**2, **explained}


TASKS: Final[Mapping[str, Callable[[Parts], Task]]] = {
    "classification": Classification,
    "regression": Regression,
}
