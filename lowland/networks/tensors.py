"""Tensors by their names in a module's `state_dict`: taken over, and how two sets of them differ."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names, which keep their device and layout.

    `load_state_dict` would also want the modules' versions, which tensors alone do not carry: MNASNet insists.
    """
    own = model.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, but: Collection[str] = ()) -> list[str]:
    """How two sets of tensors differ in names and shapes, one sentence a tensor, without those in `but`."""
    names = [name for name in {**own, **given} if name not in but]
    return [
        f"{name} is {_shape(given.get(name))} there and {_shape(own.get(name))} here"
        for name in names
        if _shape(given.get(name)) != _shape(own.get(name))
    ]


def told(problems: Sequence[str], *, at_most: int = 3) -> str:
    """The first of them in one line, and how many more there are."""
    more = len(problems) - at_most
    return "; ".join(problems[:at_most]) + (f"; and {more} more" if more > 0 else "")


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return "not"
    return "x".join(str(side) for side in tensor.shape) or "one number"
