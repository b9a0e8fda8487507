"""linear: one linear layer on the flattened sample."""

from torch import nn

from worker.engine.models.shape import InputShape


def build(shape: InputShape, classes: int) -> nn.Module:
    """Softmax regression, with the softmax left to the loss."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape.values, classes))
