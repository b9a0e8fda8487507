"""Starting from given weights instead of random ones: another job's, checked tensor by tensor before any is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lowland.networks.parts import head_tensors
from lowland.networks.tensors import differences, put_tensors, told
from worker.engine.errors import EngineError


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
        super().__init__(f"{field}: {told(problems)}. {remedy}")


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


def unfit_head(model: nn.Module, given: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The tensors of the model's head, if those given have another shape; else none."""
    own = model.state_dict()
    head = head_tensors(model)
    return head if any(name in given and given[name].shape != own[name].shape for name in head) else ()
