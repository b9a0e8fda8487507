"""torchvision: any of torchvision's classification models, for the dataset's classes and images.

The network is torchvision's own, without auxiliary heads. Grey images are repeated into three channels rather than the
first convolution being replaced, so that published weights stay valid. torchvision is imported by whoever needs it: the
other models do without.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lowland.networks.shape import ImageShape, ShapeUnsuited

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

_VISION_TRANSFORMERS: Final = ("vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32")

#: What some constructors want to be told beside the number of classes.
_TOLD: Final[Mapping[str, Callable[[ImageShape], Mapping[str, Any]]]] = {
    **dict.fromkeys(("googlenet", "inception_v3"), lambda image: {"aux_logits": False, "init_weights": True}),
    **dict.fromkeys(_VISION_TRANSFORMERS, lambda image: {"image_size": image.height}),
    "maxvit_t": lambda image: {"input_size": (image.height, image.width)},
}


def build(image: ImageShape, classes: int, *, arch: str, resize: int | None) -> nn.Module:
    """With random weights, as torchvision starts them.

    Args:
        arch: torchvision's name of the model.
        resize: side of the square that images are scaled to first; None leaves them.

    Raises:
        ShapeUnsuited: it cannot take such images.
        ModuleNotFoundError: torchvision is not installed.
    """
    from torchvision.models import get_model  # noqa: PLC0415  the other models do without

    if image.channels not in {1, 3}:
        raise ShapeUnsuited(
            f"torchvision/{arch} does not take images with {image.channels} channels, only with 1 or 3; "
            "give another model"
        )
    seen = ImageShape(
        channels=3,
        height=image.height if resize is None else resize,
        width=image.width if resize is None else resize,
    )
    told = _TOLD[arch](seen) if arch in _TOLD else {}
    try:
        network = get_model(arch, weights=None, num_classes=classes, **told)
    except (AssertionError, ValueError) as error:
        raise _wrong_size(arch, seen) from error
    if not _takes(network, seen):
        raise _wrong_size(arch, seen)
    _pool_deterministically(network)
    return OnImages(network, resize=resize)


class OnImages(nn.Module):
    """A network for colour images of one size on images of any: [B, 1 or 3, height, width] to logits."""

    def __init__(self, network: nn.Module, *, resize: int | None) -> None:
        super().__init__()
        self.network = network
        self.resize = resize

    def forward(self, x: Tensor) -> Tensor:
        if self.resize is not None:
            x = F.interpolate(x, size=(self.resize, self.resize), mode="bilinear")
        return self.network(x.expand(-1, 3, -1, -1))


class _AveragePool(nn.Module):
    """torch's adaptive average pooling as two products of matrices."""

    def __init__(self, *size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        over_rows, over_columns = (
            F.adaptive_avg_pool1d(torch.eye(side, dtype=x.dtype, device=x.device), pixels)
            for side, pixels in zip(x.shape[2:], self.size, strict=True)
        )
        return over_rows.T @ x @ over_columns


def published_weights(arch: str) -> "WeightsEnum":
    """torchvision's best ImageNet weights of a model."""
    from torchvision.models import get_model_weights  # noqa: PLC0415  the other models do without

    return get_model_weights(arch)["DEFAULT"]


def published_side(arch: str) -> int:
    """Side in pixels of the images that those weights were trained or tuned on."""
    return cast("partial[Any]", published_weights(arch).transforms).keywords["crop_size"]


def _takes(network: nn.Module, image: ImageShape) -> bool:
    """Whether images of a size come out as logits, tried without computing anything."""
    tensors = {name: tensor.to("meta") for name, tensor in [*network.named_parameters(), *network.named_buffers()]}
    images = torch.empty(1, image.channels, image.height, image.width, device="meta")
    try:
        # not in training, where a BatchNorm wants more than one value
        functional_call(network.eval(), tensors, (images,))
    except (RuntimeError, AssertionError):
        return False
    finally:
        network.train()
    return True


def _pool_deterministically(network: nn.Module) -> None:
    """Adaptive pooling to several pixels (AlexNet, VGG) has no deterministic backward on a GPU; to one it is a mean."""
    for name, layer in list(network.named_modules()):
        match layer:
            case nn.AdaptiveAvgPool2d(output_size=(int() as rows, int() as columns)) if rows * columns > 1:
                network.set_submodule(name, _AveragePool(rows, columns))
            case _:
                pass


def _wrong_size(arch: str, image: ImageShape) -> ShapeUnsuited:
    return ShapeUnsuited(
        f"torchvision/{arch} does not take images of {image.height}x{image.width} pixels; set model.resize, "
        f"for example to {published_side(arch)}, which its published weights are for, or give another model"
    )
