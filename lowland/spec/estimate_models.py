"""How large a model is, by arithmetic: its weights, and what one sample leaves behind in a forward pass.

For the backward pass torch keeps

    convolution, linear    the input
    BatchNorm              the input
    ReLU                   the output, which is the next layer's input: kept once
    max pooling            the place of each maximum, int64
    LayerNorm, attention   inputs, and the attention itself, in float32 whatever the precision
    dropout                what was left out

Each function mirrors one file of `lowland.networks`; a test holds them together.
"""

from dataclasses import dataclass
from typing import Final

from lowland.spec.models import Cnn, Linear, Mlp, ModelSpec, Resnet9, Resnet18, Torchvision, VitTiny, WideResnet

#: Units of a transformer block's MLP over the width.
MLP_RATIO: Final = 4


@dataclass(slots=True)
class Size:
    """A model as far as it has been walked through, layer by layer, and the shape of a sample there.

    A vector of F features is F channels of one pixel.
    """

    channels: int
    height: int
    width: int
    parameters: int = 0
    kept: int = 0
    """Values kept of a sample, in the precision of the passes."""
    kept_bytes: int = 0
    """Bytes kept of a sample whatever the precision, beside them."""
    largest: int = 0
    """The most values a sample has in one place."""

    @property
    def values(self) -> int:
        """Numbers a sample has here."""
        return self.channels * self.height * self.width

    @property
    def can_be_halved(self) -> bool:
        """Whether the models halve images of this size."""
        return min(self.height, self.width) >= 4

    def keep(self, times: int = 1) -> None:
        """What a sample is here is kept."""
        self.kept += times * self.values
        self.largest = max(self.largest, self.values)

    def halve(self) -> None:
        """Half as many pixels each way, rounded down."""
        self.height, self.width = self.height // 2, self.width // 2

    def convolve(self, channels: int, *, halves: bool = False) -> None:
        """A 3x3 convolution without bias."""
        self.parameters += 9 * self.channels * channels
        self.channels = channels
        if halves:
            self.halve()

    def normalise(self) -> None:
        """BatchNorm or LayerNorm: a weight and a bias for each channel."""
        self.parameters += 2 * self.channels
        self.keep()

    def pool(self) -> None:
        """Max pooling over 2x2."""
        self.halve()
        self.kept_bytes += 8 * self.values

    def connect(self, outputs: int, *, bias: bool = True) -> None:
        """One linear layer on everything."""
        self.keep()
        self.parameters += self.values * outputs + (outputs if bias else 0)
        self.channels, self.height, self.width = outputs, 1, 1

    def average(self) -> None:
        """One pixel, whatever it is made of."""
        self.height = self.width = 1


def _mlp(model: Mlp, size: Size, classes: int) -> None:
    for _ in range(model.depth):
        size.connect(model.width)
        size.keep(2 if model.dropout else 0)
    size.connect(classes)


def _cnn(model: Cnn, size: Size, classes: int) -> None:
    size.keep()
    for channels in (model.width, 2 * model.width, 4 * model.width):
        _activated(size, channels)
        if size.can_be_halved or (channels == 4 * model.width and min(size.height, size.width) >= 2):
            size.pool()
            size.keep()
    size.connect(classes)


def _resnet9(model: Resnet9, size: Size, classes: int) -> None:
    size.keep()
    _activated(size, model.width)
    for factor, has_residual in ((2, True), (4, False), (8, True)):
        channels = factor * model.width
        _activated(size, channels)
        if size.can_be_halved:
            size.pool()
            size.keep()
        if has_residual:
            _activated(size, channels)
            _activated(size, channels)
            size.keep()
    size.average()
    size.connect(classes, bias=False)


def _resnet18(model: Resnet18, size: Size, classes: int) -> None:
    size.keep()
    _activated(size, model.width)
    for factor in (1, 2, 4, 8):
        halves = factor > 1 and size.can_be_halved
        _residual(size, factor * model.width, halves=halves)
        _residual(size, factor * model.width, halves=False)
    size.average()
    size.connect(classes)


def _wide_resnet(model: WideResnet, size: Size, classes: int) -> None:
    size.keep()
    size.convolve(16)
    for factor in (1, 2, 4):
        channels = 16 * factor * model.widen
        halves = factor > 1 and size.can_be_halved
        for number in range((model.depth - 4) // 6):
            inputs, halved = size.channels, halves and number == 0
            size.normalise()
            size.keep()
            size.convolve(channels, halves=halved)
            size.normalise()
            size.keep(2 if model.dropout else 1)
            size.convolve(channels)
            if inputs != channels or halved:
                size.parameters += inputs * channels
    size.normalise()
    size.keep()
    size.average()
    size.connect(classes)


def _vit_tiny(model: VitTiny, size: Size, classes: int) -> None:
    size.keep()
    patches = -(-size.height // model.patch) * -(-size.width // model.patch)
    size.parameters += size.channels * model.patch**2 * model.width + model.width + patches * model.width
    size.channels, size.height, size.width = model.width, patches, 1
    if model.dropout:
        size.kept_bytes += 4 * size.values
    for _ in range(model.depth):
        # two LayerNorms; queries, keys, values and the way out; the MLP
        size.parameters += 4 * model.width + 4 * (model.width**2 + model.width)
        size.parameters += 2 * MLP_RATIO * model.width**2 + (MLP_RATIO + 1) * model.width
        # the inputs of the attention's two linear layers; of the MLP's, and of GELU; with dropout its three masks
        size.keep(3 + 2 * MLP_RATIO + (2 + MLP_RATIO if model.dropout else 0))
        # the inputs of both LayerNorms, queries, keys and values; then who looks at whom
        size.kept_bytes += 4 * (5 * size.values + model.heads * patches**2)
    size.normalise()
    size.average()
    size.connect(classes)


def _activated(size: Size, channels: int) -> None:
    """Convolution, BatchNorm, ReLU."""
    size.convolve(channels)
    size.normalise()
    size.keep()


def _residual(size: Size, channels: int, *, halves: bool) -> None:
    """ResNet-18's block."""
    inputs = size.channels
    size.convolve(channels, halves=halves)
    size.normalise()
    size.keep()
    size.convolve(channels)
    size.normalise()
    if inputs != channels or halves:
        size.parameters += inputs * channels  # the 1x1 convolution beside it
        size.normalise()
    size.keep()


def size_of(model: ModelSpec, shape: tuple[int, int, int], outputs: int) -> Size | None:
    """Walk through a model.

    Args:
        shape: of a sample: channels, height, width; a vector has one pixel.
        outputs: classes, or 1 in regression.

    Returns:
        Its size; None where it is not known (torchvision's).
    """
    size = Size(*shape)
    match model:
        case Linear():
            size.connect(outputs)
        case Mlp():
            _mlp(model, size, outputs)
        case Cnn():
            _cnn(model, size, outputs)
        case Resnet9():
            _resnet9(model, size, outputs)
        case Resnet18():
            _resnet18(model, size, outputs)
        case WideResnet():
            _wide_resnet(model, size, outputs)
        case VitTiny():
            _vit_tiny(model, size, outputs)
        case Torchvision():
            return None
    size.kept_bytes += 4 * outputs  # the loss is computed in float32
    return size
