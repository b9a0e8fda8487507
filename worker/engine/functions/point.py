"""The point that moves, as the model of a run: its one parameter is x, and its only sample has the value f(x)."""

import torch
from torch import Tensor, nn

import sam
from lowland.spec.functions import Point
from worker.engine.functions import Function
from worker.engine.functions.trail import Place


class MovingPoint(nn.Module):
    """x, float64 [n], and the function at it."""

    def __init__(self, function: Function, start: Point) -> None:
        super().__init__()
        self._function = function
        self.x = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, samples: Tensor) -> Tensor:
        """The same value for each of the samples, [len(samples)]."""
        return self._function(self.x).expand(len(samples))

    def batch(self) -> sam.Batch:
        """What every variant steps on, those that want the losses of single samples too."""
        only = torch.zeros(1)
        return sam.Minibatch(self, only, only, lambda values, targets: values)

    def place(self, *, step: int, learning_rate: float) -> Place:
        """Where x is after so many steps, the last of them with this learning rate."""
        value = self._function(self.x)
        (gradient,) = torch.autograd.grad(value, self.x)
        return Place(
            step=step,
            x=self.x.tolist(),
            value=value.item(),
            gradient_norm=torch.linalg.vector_norm(gradient).item(),
            learning_rate=learning_rate,
        )
