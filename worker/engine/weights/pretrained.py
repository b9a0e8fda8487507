"""Starting from published weights: torchvision's, trained on ImageNet.

The head is left random where the dataset has not ImageNet's 1,000 classes, and so is the stem of our resnet18, which
has another shape. Images are normalised by the dataset's own mean and standard deviation all the same, not by
ImageNet's: fine-tuning starts from inputs as well scaled as those that the weights were trained on.
"""

import re
from collections.abc import Collection
from typing import Final, cast

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from lowland.networks import resnet18
from lowland.networks.tensors import differences
from lowland.networks.torchvision_models import OnImages, published_side, published_weights
from lowland.spec.models import ModelSpec, Resnet18, Torchvision
from worker.engine.settings import EngineSettings
from worker.engine.weights.published import read_weights
from worker.engine.weights.warm_start import WarmStart, WarmStartUnsuited, unfit_head

#: DenseNet's files are older than its modules' names: `denselayer1.norm.1` is `denselayer1.norm1`.
_OLD_DENSENET_NAME: Final = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")


def load_pretrained(spec: ModelSpec, model: nn.Module, settings: EngineSettings) -> WarmStart | None:
    """Take over published weights where the spec asks for them; None where it does not.

    Args:
        spec: what the model was built from.
        model: written in place.
        settings: where files of weights lie.

    Raises:
        WeightsUnavailable: the file is neither on disk nor to be had from the network.
        WeightsBroken: the file cannot be read.
        WarmStartUnsuited: the weights are for images of another size.
    """
    match spec:
        case Resnet18(pretrained=True):
            given = read_weights(ResNet18_Weights.DEFAULT.url, settings)
            renamed = {own: tensor for name, tensor in given.items() if (own := resnet18.own_name(name))}
            stem = [name for name in model.state_dict() if name.startswith(resnet18.STEM)]
            return _fill(model, renamed, but=stem, remedy="Replace the file of weights.")
        case Torchvision(pretrained=True):
            given = read_weights(published_weights(spec.arch).url, settings)
            for name in [name for name in given if _OLD_DENSENET_NAME.search(name)]:
                given[_OLD_DENSENET_NAME.sub(r"\1\2", name)] = given.pop(name)
            network = cast("OnImages", model).network
            remedy = f"Set model.resize to {published_side(spec.arch)}."
            filled = _fill(network, given, remedy=remedy)
            return WarmStart(taken=filled.taken, replaced=tuple(f"network.{name}" for name in filled.replaced))
        case _:
            return None


def _fill(model: nn.Module, given: dict[str, Tensor], *, remedy: str, but: Collection[str] = ()) -> WarmStart:
    """Take over all of the model's tensors, except for an unfit head and those in `but`.

    What is given beside them is passed over: auxiliary heads. By `load_state_dict`, since torchvision's modules
    know the earlier forms of their weights.
    """
    own = model.state_dict()
    replaced = (*but, *unfit_head(model, given))
    for name in replaced:
        given.pop(name, None)
    shared = own.keys() & given.keys()
    problems = differences(
        {name: tensor for name, tensor in own.items() if name in shared},
        {name: tensor for name, tensor in given.items() if name in shared},
    )
    if not problems:
        missing = set(model.load_state_dict(given, strict=False).missing_keys) - set(replaced)
        problems = differences({name: own[name] for name in own if name in missing}, {})
    if problems:
        raise WarmStartUnsuited("model.pretrained", problems, remedy=remedy)
    return WarmStart(taken=len(own) - len(replaced), replaced=replaced)
