"""The networks that jobs train, and trained ones: the one place in `lowland` that needs torch.

MODELS    builds a network by its name in the contract
load      gives back a trained one, from the `model.safetensors` that a job left behind

The engine builds from the same table: whoever has the wheel has the network that was trained.
"""

from lowland.networks.description import Description
from lowland.networks.loading import load
from lowland.networks.models import MODELS, Build
from lowland.networks.parts import head_of, hidden_matrices
from lowland.networks.shape import ImageShape, InputShape, ShapeUnsuited, Vector
from lowland.networks.trained import Trained

__all__ = [
    "MODELS",
    "Build",
    "Description",
    "ImageShape",
    "InputShape",
    "ShapeUnsuited",
    "Trained",
    "Vector",
    "head_of",
    "hidden_matrices",
    "load",
]
