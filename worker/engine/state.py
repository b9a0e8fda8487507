"""What changes while a run goes on, beside the weights and the optimizer: all of it is in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


class EpochSums:
    """The running sums of the epoch under way. They stay on the device, so that counting a step waits for nothing."""

    def __init__(self, device: torch.device) -> None:
        self.samples = 0
        self.seconds = 0.0
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        #: The first step whose loss was not finite; -1 for none.
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)

    def count(self, *, step: int, loss: Tensor, correct: Tensor, samples: int, seconds: float) -> None:
        """Add one step: the mean loss of its batch and how many samples were right."""
        self.samples += samples
        self.seconds += seconds
        self._loss += loss.double() * samples
        self._correct += correct
        bad = ~torch.isfinite(loss) & (self._bad_step < 0)
        self._bad_step.copy_(torch.where(bad, step, self._bad_step))

    @property
    def bad_step(self) -> int | None:
        """The first step whose loss was not finite. Waits for the device."""
        step = int(self._bad_step)
        return None if step < 0 else step

    def metrics(self) -> dict[str, float]:
        """Means over the samples trained on so far: with label smoothing, in train mode, in each step's first pass."""
        return {
            "train_loss": float(self._loss) / self.samples,
            "train_accuracy": int(self._correct) / self.samples,
            "samples_per_s": self.samples / self.seconds,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "seconds": self.seconds,
            "loss": self._loss,
            "correct": self._correct,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.samples = state["samples"]
        self.seconds = state["seconds"]
        self._loss.copy_(state["loss"])
        self._correct.copy_(state["correct"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The weights chosen so far: those with the best validation accuracy, the later ones where two are equal.

    With a falling learning rate the later ones have settled further, and small validation parts often make equals.
    """

    epoch: int
    """After which they were measured, from 1."""
    accuracy: float
    loss: float
    weights: Mapping[str, Tensor]


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """How far a run has come."""

    sums: EpochSums
    step: int = 0
    """Optimizer steps taken."""
    epochs_ended: int = 0
    """Epochs trained and evaluated."""
    selected: Selected | None = None
    """None before the first epoch has ended, and where there is no validation part."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Each ended epoch's metrics."""

    def consider(self, *, accuracy: float, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Select the weights just measured, if none before were better."""
        if self.selected is None or accuracy >= self.selected.accuracy:
            self.selected = Selected(
                epoch=self.epochs_ended,
                accuracy=accuracy,
                loss=loss,
                weights={name: tensor.clone() for name, tensor in weights.items()},
            )

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, as `torch.load(weights_only=True)` reads them."""
        selected = self.selected
        return {
            "step": self.step,
            "epochs_ended": self.epochs_ended,
            "sums": self.sums.state_dict(),
            "history": self.history,
            "selected": None
            if selected is None
            else {
                "epoch": selected.epoch,
                "accuracy": selected.accuracy,
                "loss": selected.loss,
                "weights": dict(selected.weights),
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.epochs_ended = state["epochs_ended"]
        self.sums.load_state_dict(state["sums"])
        self.history = state["history"]
        self.selected = None if state["selected"] is None else Selected(**state["selected"])
