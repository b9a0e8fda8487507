"""Data-parallel processes as the rest of the engine sees them: who this one is, its share, and what all agree on.

A run in one process is the case of one rank: then nothing is exchanged and nothing waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process of several that train the same weights.

    Every method but `share` is a collective where there are several: all ranks have to call it at the same point.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all: it alone reports and writes."""
        return self.rank == 0

    def share(self, samples: int) -> slice:
        """This rank's part of some samples; some get nothing where there are fewer samples than ranks."""
        first, end = (samples * rank // self.count for rank in (self.rank, self.rank + 1))
        return slice(first, end)

    def added_up(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks; the tensor itself is left alone."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Which of some flags are raised on any rank."""
        if self.count == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(raised, op=dist.ReduceOp.MAX)
        return [bool(flag) for flag in raised.tolist()]

    def gathered(self, value: bytes) -> list[bytes]:
        """Everyone's bytes, by rank."""
        if self.count == 1:
            return [value]
        length = torch.tensor([len(value)])
        lengths = [torch.zeros_like(length) for _ in range(self.count)]
        dist.all_gather(lengths, length)
        longest = max(int(length) for length in lengths)
        mine = torch.zeros(longest, dtype=torch.uint8)
        mine[: len(value)] = torch.frombuffer(bytearray(value), dtype=torch.uint8)
        everyones = [torch.zeros_like(mine) for _ in lengths]
        dist.all_gather(everyones, mine)
        return [one[: int(length)].numpy().tobytes() for one, length in zip(everyones, lengths, strict=True)]

    def take_buffers_of_first(self, model: nn.Module) -> None:
        """Give every rank the first one's buffers: BatchNorm's statistics, which each gathers from its share."""
        if self.count > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


#: A run in one process.
ALONE: Final = Ranks()
