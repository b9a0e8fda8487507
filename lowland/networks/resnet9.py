"""resnet9: the nine-layer residual network that trains small images fastest.

    conv w → conv 2w, pool → residual 2w → conv 4w, pool → conv 8w, pool → residual 8w → max over the image → linear

Each conv is 3x3 with BatchNorm and ReLU; a residual is two of them with their input added. After David Page's network
for DAWNBench (2018). Images too small for three poolings are pooled less often.
"""

from typing import Final

from torch import Tensor, nn

from lowland.networks.layers import convolution
from lowland.networks.shape import ImageShape

#: Keeps the first logits small, so that the first steps at a high learning rate are stable (Page, 2018).
LOGIT_SCALE: Final = 0.125


def build(image: ImageShape, classes: int, *, width: int) -> nn.Module:
    """Channels: `width` to eight times as many."""
    stem = nn.Sequential(convolution(image.channels, width), nn.ReLU(inplace=True))
    stages: list[nn.Module] = []
    inputs = width
    for outputs, extra in (
        (2 * width, [_Residual(2 * width)]),
        (4 * width, []),
        (8 * width, [_Residual(8 * width)]),
    ):
        stages.append(convolution(inputs, outputs))
        if image.can_be_halved:
            # Before the ReLU: the two commute, and it has a quarter of the work left.
            stages.append(nn.MaxPool2d(2))
            image = image.halved(channels=outputs)
        stages += [nn.ReLU(inplace=True), *extra]
        inputs = outputs
    return nn.Sequential(stem, *stages, _Head(inputs, classes))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            convolution(channels, channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolutions(x)


class _Head(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # amax, unlike adaptive max pooling, has a deterministic backward on a GPU too.
        return self.linear(x.amax((2, 3))) * LOGIT_SCALE
