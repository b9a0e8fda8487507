"""What keeps two passes over one batch one training step: the same random numbers, and statistics that move
once.

Random numbers of torch's generators (CPU and the parameters' devices) are replayed, so both passes draw the
same dropout masks; Python's and NumPy's are not. Buffers are copied after the first pass and put back after
the second.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sam import _foreach


class RandomState:
    """The generators' states at one moment, for the CPU and the given devices."""

    def __init__(self, devices: Iterable[torch.device]) -> None:
        self._cpu = torch.get_rng_state()
        self._others = [(d, torch.get_device_module(d).get_rng_state(d)) for d in set(devices) if d.type != "cpu"]

    def replay(self) -> None:
        """Set the generators back to that moment."""
        torch.set_rng_state(self._cpu)
        for device, state in self._others:
            torch.get_device_module(device).set_rng_state(state, device)


class Buffers:
    """The buffers of a model, BatchNorm's running statistics above all: copied, and put back later."""

    def __init__(self, model: nn.Module | None) -> None:
        modules = [] if model is None else model.modules()
        self._owners = [m for m in modules if next(m.buffers(recurse=False), None) is not None]

    def copy(self) -> list[Tensor]:
        """A copy of every buffer as it is now."""
        return [b.clone() for b in self.now()]

    def put_back(self, copies: list[Tensor]) -> None:
        """Write the copies into the buffers, bit for bit."""
        _foreach.copy_(self.now(), copies)

    def now(self) -> list[Tensor]:
        """The buffers themselves, as the model has them now."""
        return [b for m in self._owners for b in m.buffers(recurse=False)]
