"""The models the engine can build, one line each; the names are the contract's (`lowland.spec.models`)."""

from collections.abc import Callable, Mapping
from typing import Final

from torch import nn

from worker.engine.models import cnn, mlp, resnet9, resnet18
from worker.engine.models.shape import ImageShape

__all__ = ["MODELS", "Build", "ImageShape"]


#: Builds a model for images (`ImageShape`) and a number of classes; the keywords are the fields of the model's spec.
Build = Callable[..., nn.Module]


MODELS: Final[Mapping[str, Build]] = {
    "mlp": mlp.build,
    "cnn": cnn.build,
    "resnet9": resnet9.build,
    "resnet18": resnet18.build,
}
