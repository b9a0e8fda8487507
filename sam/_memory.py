"""What a variant remembers from step to step: numbers, and tensors parallel to the parameters.

What a step writes is kept aside until the step was taken: one that fails or overflows leaves the memory as it was.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from sam import _foreach

#: One tensor for each parameter that has one.
PerParameter: TypeAlias = dict[Tensor, Tensor]


class Memory:
    """Named numbers and per-parameter tensors. A reader sees the last step that was taken."""

    def __init__(self) -> None:
        self._kept: dict[str, int | PerParameter] = {}
        self._written: dict[str, int | PerParameter] = {}
        self._regardless: set[str] = set()

    def number(self, name: str) -> int | None:
        """The number of that name; None before it was first written."""
        value = self._kept.get(name)
        return value if isinstance(value, int) else None

    def tensors(self, name: str) -> PerParameter:
        """The tensors of that name, not to be written in place; empty before they were first written."""
        value = self._kept.get(name)
        return value if isinstance(value, dict) else {}

    def write(self, name: str, value: int | PerParameter, *, regardless: bool = False) -> None:
        """Keep this from the end of the present step on. Tensors given away here are not to be written any more.

        `regardless`: also where a device decides that the step was not taken, since any such value is a good one.
        """
        self._written[name] = value
        if regardless:
            self._regardless.add(name)

    def forget_written(self) -> None:
        """Begin a step: what one that was broken off wrote is dropped."""
        self._written.clear()

    def commit(self, taken: Tensor | None) -> None:
        """The step was taken. `taken`: a boolean scalar on a device that decides it there; None is yes."""
        for name, new in self._written.items():
            if taken is not None and isinstance(new, dict) and name not in self._regardless:
                _keep_old_unless(taken, new, self.tensors(name))
            self._kept[name] = new
        self._written.clear()

    def state_dict(self, parameters: Iterable[Tensor]) -> dict[str, Any]:
        """Numbers as they are, tensors by their parameter's position in the groups."""
        position = {p: i for i, p in enumerate(parameters)}
        return {
            name: value if isinstance(value, int) else {position[p]: t for p, t in value.items()}
            for name, value in self._kept.items()
        }

    def load_state_dict(self, state: Mapping[str, Any], parameters: Iterable[Tensor]) -> None:
        """Take over copies, each on its parameter's device. ValueError for a tensor that fits no parameter."""
        at = dict(enumerate(parameters))
        kept = {name: value if isinstance(value, int) else _fitting(name, value, at) for name, value in state.items()}
        self._written.clear()
        self._kept = kept


def _fitting(name: str, saved: Mapping[int, Tensor], parameters: Mapping[int, Tensor]) -> PerParameter:
    for i, t in saved.items():
        if i not in parameters or parameters[i].shape != t.shape:
            there = f"it has shape {list(parameters[i].shape)}" if i in parameters else "there is none"
            raise ValueError(f"memory has a {name} of shape {list(t.shape)} for parameter {i}; {there}")
    return {parameters[i]: t.detach().clone().to(parameters[i].device) for i, t in saved.items()}


def parallel_to(params: Iterable[Tensor], values: Mapping[Tensor, Tensor]) -> list[Tensor]:
    """The values of these parameters; zeros for one that has none."""
    return [values[p] if p in values else torch.zeros_like(p) for p in params]


def _keep_old_unless(taken: Tensor, new: PerParameter, old: PerParameter) -> None:
    """Where the step was not taken, write the old values into the new tensors (zeros where there were none)."""
    both = [p for p in new if p in old]
    for fresh, before in _foreach.by_type([new[p] for p in both], [old[p] for p in both]):
        _foreach.keep_if_(fresh, taken, instead=before)
    for (fresh,) in _foreach.by_type([t for p, t in new.items() if p not in old]):
        _foreach.keep_if_(fresh, taken)
