"""Starting from given weights instead of random ones: another job's, checked tensor by tensor before any is taken."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from worker.engine.errors import EngineError
from worker.engine.models.parts import head_tensors

#: So many tensors that do not fit are named.
MAX_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """What came of starting from given weights."""

    taken: int
    """Tensors taken over."""
    replaced: tuple[str, ...]
    """Those of the model that keep their random start, because they have to fit its samples and classes."""

    def description(self) -> dict[str, Any]:
        """As JSON values."""
        return {"taken": self.taken, "replaced": list(self.replaced)}


class WarmStartUnsuited(EngineError):
    """The given weights are of another model."""

    type = "warm-start-unsuited"
    title = "The given weights do not suit the model"

    def __init__(self, field: str, problems: Sequence[str], *, remedy: str) -> None:
        self.field = field
        self.problems = tuple(problems)
        told = "; ".join(problems[:MAX_NAMED])
        more = len(problems) - MAX_NAMED
        super().__init__(f"{field}: {told}{f'; and {more} more' if more > 0 else ''}. {remedy}")


def load_weights(model: nn.Module, path: Path) -> WarmStart:
    """Take over the weights in a model.safetensors. A head of another shape is left as it is, as is all if any differs.

    Raises:
        WarmStartUnsuited: the file holds other tensors than the model, or no tensors at all.
    """
    remedy = "Give a job that trained the same model with the same options on samples of the same shape."
    try:
        given = safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise WarmStartUnsuited("model.init_from", [f"{path.name} cannot be read: {error}"], remedy=remedy) from error
    own = model.state_dict()
    replaced = unfit_head(model, given)
    if problems := differences(own, given, but=replaced):
        raise WarmStartUnsuited("model.init_from", problems, remedy=remedy)
    taken = {name: given[name] for name in own if name not in replaced}
    put_tensors(model, taken)
    return WarmStart(taken=len(taken), replaced=replaced)


@torch.no_grad()
def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names, which keep their device and layout.

    `load_state_dict` would also want the modules' versions, which tensors alone do not carry: MNASNet insists.
    """
    own = model.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def unfit_head(model: nn.Module, given: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The tensors of the model's head, if those given have another shape; else none."""
    own = model.state_dict()
    head = head_tensors(model)
    return head if any(name in given and given[name].shape != own[name].shape for name in head) else ()


def differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, but: Collection[str] = ()) -> list[str]:
    """How two sets of tensors differ in names and shapes, one sentence a tensor, without those in `but`."""
    names = [name for name in {**own, **given} if name not in but]
    return [
        f"{name} is {_shape(given.get(name))} there and {_shape(own.get(name))} here"
        for name in names
        if _shape(given.get(name)) != _shape(own.get(name))
    ]


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return "not"
    return "x".join(str(side) for side in tensor.shape) or "one number"
