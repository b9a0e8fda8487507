"""wide-resnet: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016.

    conv 16 → n blocks of 16k → n blocks of 32k, halved → n blocks of 64k, halved → BatchNorm, ReLU → mean → linear

depth = 6n + 4, k = widen. A block is BatchNorm, ReLU, conv, (dropout,) BatchNorm, ReLU, conv, with its input added;
where the shape changes, a 1x1 convolution of the activated input is added instead (He et al., "Identity Mappings in
Deep Residual Networks", ECCV 2016). Images too small for two halvings are halved less often.
"""

from torch import Tensor, nn

from lowland.networks.layers import thinned_out
from lowland.networks.shape import ImageShape


def build(image: ImageShape, classes: int, *, depth: int, widen: int, dropout: float) -> nn.Module:
    """The convolutions start as the authors' do: normal, with variance 2 / (outputs x pixels)."""
    layers: list[nn.Module] = [_convolution(image.channels, 16)]
    inputs = 16
    for group, outputs in enumerate((16 * widen, 32 * widen, 64 * widen)):
        stride = 1
        if group and image.can_be_halved:
            stride, image = 2, image.halved(channels=outputs)
        for _ in range((depth - 4) // 6):
            layers.append(_Block(inputs, outputs, stride=stride, dropout=dropout))
            inputs, stride = outputs, 1
    return nn.Sequential(*layers, _activation(inputs), _Head(inputs, classes))


class _Block(nn.Module):
    """Two activated convolutions, the input added."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, dropout: float) -> None:
        super().__init__()
        self.activation = _activation(inputs)
        self.convolutions = nn.Sequential(
            _convolution(inputs, outputs, stride=stride),
            nn.Dropout(dropout),
            _activation(outputs),
            _convolution(outputs, outputs),
        )
        changes = inputs != outputs or stride != 1
        self.stride = stride
        self.shortcut = _convolution(inputs, outputs, size=1) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x)
        kept = x if self.shortcut is None else self.shortcut(thinned_out(activated, self.stride))
        return kept + self.convolutions(activated)


class _Head(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        # A mean, unlike adaptive average pooling, has a deterministic backward on a GPU too.
        return self.linear(x.mean((2, 3)))


def _activation(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def _convolution(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
