"""mlp: fully connected layers with ReLU on the flattened image."""

from torch import nn

from worker.engine.models.shape import ImageShape


def build(image: ImageShape, classes: int, *, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width` units, then one linear layer."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = image.values
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))
