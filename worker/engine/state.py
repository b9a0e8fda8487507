"""What changes while a run goes on, beside the weights and the optimizer: all of it is in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from worker.engine.batches import Step
from worker.engine.ranks import Ranks
from worker.engine.stop_rules import StopRules
from worker.engine.tasks import Task


class EpochSums:
    """The running sums of the epoch under way. They stay on the device, so that counting a step waits for nothing."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self.samples = 0
        self.seconds = 0.0
        self._task = task
        self._tally = task.tally()
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        #: The first step whose loss was not finite; -1 for none.
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)

    def count(self, step: Step, *, number: int, loss: Tensor, seconds: float) -> None:
        """Add the step with this number: the mean loss of its batch, and what was said of its samples."""
        self.samples += step.samples
        self.seconds += seconds
        self._loss += loss.double() * step.samples
        step.count_into(self._tally)
        bad = ~torch.isfinite(loss) & (self._bad_step < 0)
        self._bad_step.copy_(torch.where(bad, number, self._bad_step))

    @property
    def bad_step(self) -> int | None:
        """The first step whose loss was not finite. Waits for the device."""
        step = int(self._bad_step)
        return None if step < 0 else step

    def metrics(self, ranks: Ranks) -> dict[str, float]:
        """Means over the samples trained on so far: with label smoothing, in train mode, in each step's first pass."""
        measured = self._task.metrics(ranks.added_up(self._tally))
        return {
            "train_loss": float(ranks.added_up(self._loss)) / ranks.count / self.samples,
            **{f"train_{name}": value for name, value in measured.items()},
            "samples_per_s": self.samples / self.seconds,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "seconds": self.seconds,
            "loss": self._loss,
            "tally": self._tally,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.samples = state["samples"]
        self.seconds = state["seconds"]
        self._loss.copy_(state["loss"])
        self._tally.copy_(state["tally"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The weights chosen so far: those with the best validation score, the later ones where two are equal.

    With a falling learning rate the later ones have settled further, and small validation parts often make equals.
    """

    epoch: int
    """After which they were measured, from 1."""
    score: float
    weights: Mapping[str, Tensor]


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """How far a run has come."""

    sums: EpochSums
    rules: StopRules
    step: int = 0
    """Optimizer steps taken."""
    epochs_ended: int = 0
    """Epochs trained and evaluated; the last one may have been cut short by a stop rule."""
    seconds: float = 0.0
    """Spent in the epochs that have ended, by all attempts."""
    selected: Selected | None = None
    """None before the first epoch has ended, and where there is no validation part."""
    probe: dict[str, float] = field(default_factory=dict[str, float])
    """What was seen at the epoch's last step; empty before."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Each ended epoch's metrics."""

    def consider(self, *, score: float, weights: Mapping[str, Tensor]) -> None:
        """Select the weights just measured, if none before were better."""
        if self.selected is None or score >= self.selected.score:
            copies = {name: tensor.clone() for name, tensor in weights.items()}
            self.selected = Selected(epoch=self.epochs_ended, score=score, weights=copies)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, as `torch.load(weights_only=True)` reads them. The sums stand elsewhere."""
        selected = self.selected
        return {
            "step": self.step,
            "epochs_ended": self.epochs_ended,
            "seconds": self.seconds,
            "rules": self.rules.state_dict(),
            "probe": self.probe,
            "history": self.history,
            "selected": None
            if selected is None
            else {"epoch": selected.epoch, "score": selected.score, "weights": dict(selected.weights)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.epochs_ended = state["epochs_ended"]
        self.seconds = state["seconds"]
        self.rules.load_state_dict(state["rules"])
        self.probe = state["probe"]
        self.history = state["history"]
        self.selected = None if state["selected"] is None else Selected(**state["selected"])
