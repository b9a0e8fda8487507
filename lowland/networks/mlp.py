"""mlp: fully connected layers with ReLU on the flattened sample."""

from torch import nn

from lowland.networks.shape import InputShape


def build(shape: InputShape, classes: int, *, width: int, depth: int, dropout: float) -> nn.Module:
    """`depth` hidden layers of `width` units, then one linear layer."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = shape.values
    for _ in range(depth):
        # there without dropout too, so that the weights have the same names
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))
