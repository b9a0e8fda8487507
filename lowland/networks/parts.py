"""Which tensors of a model are its head, and which are hidden matrices: read off its layers, whatever the model.

The head is the layer that gives the logits. In every model here, and in every one of torchvision's, it is the last
layer with weights in the order in which the model made them.
"""

from torch import Tensor, nn


def head_of(model: nn.Module) -> nn.Linear | nn.Conv2d:
    """The head: a linear layer; in SqueezeNet a 1x1 convolution, which is one at every pixel."""
    return _head(model)[1]


def head_tensors(model: nn.Module) -> tuple[str, ...]:
    """The head's tensors by their names in the model's `state_dict`."""
    name, layer = _head(model)
    return tuple(f"{name}.{tensor}" for tensor in layer.state_dict())


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """The weights [outputs, inputs] of linear layers and attention, without the head's."""
    head = head_of(model)
    matrices: list[Tensor] = []
    for module in model.modules():
        match module:
            case nn.Linear() if module is not head:
                matrices.append(module.weight)
            # None where queries, keys and values have weights of their own
            case nn.MultiheadAttention(in_proj_weight=nn.Parameter() as weight):
                matrices.append(weight)
            case _:
                pass
    return matrices


def _head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return layers[-1]
