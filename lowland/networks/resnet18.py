"""resnet18: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with a stem for small images.

The stem is one 3x3 convolution without stride or pooling, as the paper's section on CIFAR-10 has it; the four stages of
two basic blocks are those of the ImageNet network. Images too small for three halvings are halved less often.
"""

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor, nn

from lowland.networks.layers import convolution, thinned_out
from lowland.networks.shape import ImageShape

#: How the names of the stem's tensors begin.
STEM: Final = "0."

#: torchvision's names of the layers in a block, and ours.
_LAYERS: Final[Mapping[str, str]] = {
    "conv1": "convolutions.0.0",
    "bn1": "convolutions.0.1",
    "conv2": "convolutions.2.0",
    "bn2": "convolutions.2.1",
    "downsample": "shortcut",
}
_IN_A_BLOCK: Final = re.compile(rf"layer([1-4])\.([01])\.({'|'.join(_LAYERS)})\.(.+)")


def build(image: ImageShape, classes: int, *, width: int) -> nn.Module:
    """Channels: `width`, doubled from stage to stage."""
    stages: list[nn.Module] = [
        convolution(image.channels, width),
        nn.ReLU(),
        _Block(width, width),
        _Block(width, width),
    ]
    inputs = width
    for outputs in (2 * width, 4 * width, 8 * width):
        stride = 1
        if image.can_be_halved:
            stride, image = 2, image.halved(channels=outputs)
        stages += [_Block(inputs, outputs, stride=stride), _Block(outputs, outputs)]
        inputs = outputs
    return nn.Sequential(*stages, _Head(inputs, classes))


def own_name(published: str) -> str | None:
    """Our name of a tensor in torchvision's ResNet-18; None for one of its stem, which has another shape here."""
    if published.startswith("fc."):
        return published.replace("fc", "10.linear")
    if (found := _IN_A_BLOCK.fullmatch(published)) is None:
        return None
    stage, block, layer, tensor = found.groups()
    # in front of the first block stand the stem and its ReLU
    return f"{2 * int(stage) + int(block)}.{_LAYERS[layer]}.{tensor}"


class _Block(nn.Module):
    """Two convolutions, the input added; a 1x1 convolution makes the input fit where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            convolution(inputs, outputs, stride=stride), nn.ReLU(), convolution(outputs, outputs)
        )
        changes = inputs != outputs or stride != 1
        self.stride = stride
        self.shortcut = convolution(inputs, outputs, size=1) if changes else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.convolutions(x) + self.shortcut(thinned_out(x, self.stride)))


class _Head(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        # A mean, unlike adaptive average pooling, has a deterministic backward on a GPU too.
        return self.linear(x.mean((2, 3)))
