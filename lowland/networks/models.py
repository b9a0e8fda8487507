"""The models there are, one line each; the names are the contract's (`lowland.spec.models`)."""

from collections.abc import Callable, Mapping
from typing import Final

from torch import nn

from lowland.networks import cnn, linear, mlp, resnet9, resnet18, torchvision_models, vit_tiny, wide_resnet

#: Builds a model for samples of a shape and a number of classes; the keywords are the fields of the model's spec.
Build = Callable[..., nn.Module]

MODELS: Final[Mapping[str, Build]] = {
    "linear": linear.build,
    "mlp": mlp.build,
    "cnn": cnn.build,
    "resnet9": resnet9.build,
    "resnet18": resnet18.build,
    "wide-resnet": wide_resnet.build,
    "vit-tiny": vit_tiny.build,
    "torchvision": torchvision_models.build,
}
