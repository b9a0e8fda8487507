"""linear: one linear layer on the flattened sample. It starts at zero: its loss has one minimum, wherever it starts."""

from torch import nn

from lowland.networks.shape import InputShape


def build(shape: InputShape, classes: int) -> nn.Module:
    """Softmax regression, with the softmax left to the loss; or linear regression, with one output."""
    layer = nn.Linear(shape.values, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), layer)
