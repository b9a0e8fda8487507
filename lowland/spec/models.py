"""The models a job can name. The union below is the registry; channels, image size and classes come from the dataset.

A model is one entry here and one file in `worker.engine.models`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from lowland.spec.base import SpecModel, shorthand


class _Model(SpecModel):
    pretrained: bool = False
    """Start from published weights instead of random ones."""


class Mlp(_Model):
    """Fully connected layers with ReLU."""

    name: Literal["mlp"] = "mlp"
    width: int = Field(default=256, ge=1, le=16384)
    """Units of each hidden layer."""
    depth: int = Field(default=2, ge=1, le=64)
    """Hidden layers."""


class Cnn(_Model):
    """Three 3x3 convolutions with BatchNorm and pooling, then one linear layer."""

    name: Literal["cnn"] = "cnn"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of the first convolution; each further one has twice as many."""


class Resnet9(_Model):
    """The nine-layer residual network that trains small images fastest."""

    name: Literal["resnet9"] = "resnet9"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of the first convolution; the last has eight times as many."""


class Resnet18(_Model):
    """ResNet-18 (He et al., CVPR 2016) with a 3x3 stem and no first pooling, for small images."""

    name: Literal["resnet18"] = "resnet18"
    width: int = Field(default=64, ge=1, le=4096)
    """Channels of the first stage; the last has eight times as many."""


ALIASES = {"resnet-9": "resnet9", "resnet-18": "resnet18"}

ModelSpec = Annotated[
    Mlp | Cnn | Resnet9 | Resnet18,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name", ALIASES)),
]
