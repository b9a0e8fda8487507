"""cnn: three 3x3 convolutions, each with BatchNorm, ReLU and max pooling, then one linear layer."""

from dataclasses import replace

from torch import nn

from lowland.networks.layers import convolution
from lowland.networks.shape import ImageShape


def build(image: ImageShape, classes: int, *, width: int) -> nn.Module:
    """Channels: `width`, twice and four times as many. Each pooling halves the sides, where enough pixels are left."""
    layers: list[nn.Module] = []
    for channels in (width, 2 * width, 4 * width):
        layers += [convolution(image.channels, channels), nn.ReLU()]
        image = replace(image, channels=channels)
        # No BatchNorm follows the last pooling: there a single pixel may be left.
        if image.can_be_halved or (channels == 4 * width and min(image.height, image.width) >= 2):
            layers.append(nn.MaxPool2d(2))
            image = image.halved(channels=channels)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(image.values, classes))
