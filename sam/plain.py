"""none: the base optimizer itself, the baseline of every comparison.

    w_{t+1} = base(w_t, g)          g = ∇L(w)

Cost: 1 forward, 1 backward. Memory beside the base optimizer: none.
"""

from typing import final

from torch import nn
from torch.optim.optimizer import ParamsT

from sam._around import BaseOptimizer
from sam._passes import FINAL, Passes
from sam._plan import ALWAYS
from sam.base import SamOptimizer


@final
class Plain(SamOptimizer):
    """The base optimizer in the frame of the others: same calls, one pass, bit for bit the same weights.

    Args:
        params: parameters or parameter groups, as for any torch optimizer.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        model: accepted like everywhere else; one pass has nothing to keep still.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        super().__init__(
            params, base_optimizer, settings={}, options={}, active=ALWAYS, base_kwargs=base_kwargs, model=model
        )

    def _passes(self) -> Passes:
        yield FINAL
