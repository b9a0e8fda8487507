"""From a file of weights to the network that they are of."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lowland.errors import TorchMissing, WeightsUnusable
from lowland.networks.description import Description, NotDescribed
from lowland.networks.models import MODELS
from lowland.networks.shape import ShapeUnsuited
from lowland.networks.tensors import differences, put_tensors, told
from lowland.networks.trained import Trained


def load(path: str | Path) -> Trained:
    """The trained network in a `model.safetensors`, on the CPU and in eval mode; nothing but the file is needed.

    Raises:
        FileNotFoundError: it is not there.
        WeightsUnusable: it is damaged, does not say which network it is of, or holds other tensors than that has.
        TorchMissing: the network is one of torchvision's, which is not installed.
    """
    try:
        description, tensors = _read(path)
    except SafetensorError as error:
        raise WeightsUnusable(path, f"it is no file of weights ({error})") from error
    except NotDescribed as error:
        raise WeightsUnusable(path, str(error)) from error
    try:
        network = _built(description)
    except (ShapeUnsuited, AttributeError) as error:  # the latter of features, for a network of images
        raise WeightsUnusable(
            path, f"no {description.model.name} takes samples of {description.input_shape}"
        ) from error
    if problems := differences(network.state_dict(), tensors):
        raise WeightsUnusable(path, told(problems))
    put_tensors(network, tensors)
    return Trained(network, description).float().eval()  # whatever torch's default is at the moment


def _read(path: str | Path) -> tuple[Description, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        return Description.of(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _built(description: Description) -> nn.Module:
    """With random weights, and without drawing from the caller's generator."""
    build, options = MODELS[description.model.name], description.model.options()
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return build(description.shape, description.outputs, **options)
    except ModuleNotFoundError as error:
        raise TorchMissing(error.name) from error
