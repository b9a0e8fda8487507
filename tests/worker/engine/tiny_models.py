"""Every model of the contract, as small as it goes, and the samples it takes in tests."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from lowland.networks import MODELS, ImageShape, InputShape, Vector
from lowland.spec.job import JobSpec
from lowland.spec.models import ModelSpec

#: The options that make each model small. torchvision's has a BatchNorm that sees one pixel of a smaller image.
TINY: Final[Mapping[str, Mapping[str, Any]]] = {
    "linear": {},
    "mlp": {"width": 4},
    "cnn": {"width": 4},
    "resnet9": {"width": 4},
    "resnet18": {"width": 4},
    "wide-resnet": {"depth": 10, "widen": 1},
    "vit-tiny": {"width": 8, "heads": 2, "depth": 2},
    "torchvision": {"arch": "shufflenet_v2_x0_5", "resize": 64},
}

SHAPES: Final[Mapping[str, InputShape]] = {
    "8x8 grey": ImageShape(channels=1, height=8, width=8),
    "28x28 grey": ImageShape(channels=1, height=28, width=28),
    "32x32 colour": ImageShape(channels=3, height=32, width=32),
}

GREY: Final = SHAPES["8x8 grey"]


def spec_of(name: str, **options: Any) -> ModelSpec:
    """The spec of a tiny model, with other options where given."""
    model = {"name": name, **TINY.get(name, {}), **options}
    return JobSpec.model_validate({"dataset": "digits", "model": model}).model


def build(spec: ModelSpec, shape: InputShape = GREY, *, classes: int = 10, seed: int = 0) -> nn.Module:
    """The model of a spec; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return MODELS[spec.name](shape, classes, **spec.options())


def samples(shape: InputShape, count: int) -> Tensor:
    """Random ones; the same count gives the same."""
    size = (shape.values,) if isinstance(shape, Vector) else (shape.channels, shape.height, shape.width)
    return torch.randn((count, *size), generator=torch.Generator().manual_seed(1))
