"""The learning rate's course over a run. The union below is the registry.

Every schedule is relative to the optimizer's `lr`, which is its peak.
"""

from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lowland.spec.base import SpecModel, shorthand

#: The warm-up where the job does not say, of schedules that have one: this fraction of the run, at most so many epochs.
WARMUP_FRACTION: Final = 0.1
WARMUP_EPOCHS: Final = 1.0

_Factor = Annotated[float, Field(ge=0, le=1)]
_Fraction = Annotated[float, Field(gt=0, lt=1)]


class _WarmedUp(SpecModel):
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs in which the learning rate rises linearly from 0 to its peak."""


class Constant(_WarmedUp):
    """The peak learning rate throughout, after a linear warm-up."""

    name: Literal["constant"] = "constant"


class Cosine(_WarmedUp):
    """From the peak down along half a cosine, after a linear warm-up (Loshchilov and Hutter, ICLR 2017)."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: float = Field(default=WARMUP_EPOCHS, ge=0)
    """Epochs in which the learning rate rises linearly from 0 to its peak; by default a tenth of the run, at most 1."""
    end: _Factor = 0.0
    """The last learning rate, as a fraction of the peak."""


class LinearDecay(_WarmedUp):
    """From the peak down along a line, after a linear warm-up. With a long warm-up it is a triangle."""

    name: Literal["linear"] = "linear"
    warmup_epochs: float = Field(default=WARMUP_EPOCHS, ge=0)
    """Epochs in which the learning rate rises linearly from 0 to its peak; by default a tenth of the run, at most 1."""
    end: _Factor = 0.0
    """The last learning rate, as a fraction of the peak."""


class OneCycle(SpecModel):
    """Up to the peak and down again, both along half a cosine (Smith and Topin, 2019; as torch's OneCycleLR)."""

    name: Literal["one-cycle"] = "one-cycle"
    rise: _Fraction = 0.3
    """Fraction of the run before the peak."""
    start: _Factor = 0.04
    """The first learning rate, as a fraction of the peak."""
    end: _Factor = 4e-6
    """The last learning rate, as a fraction of the peak."""


def _ascending(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        raise ValueError(f"they are {list(milestones)}; give them in ascending order, each once")
    return milestones


class Step(_WarmedUp):
    """The peak, lowered by a factor at each milestone, after a linear warm-up."""

    name: Literal["step"] = "step"
    milestones: Annotated[tuple[_Fraction, ...], AfterValidator(_ascending)] = Field(
        default=(0.5, 0.75), strict=False, min_length=1, max_length=100
    )
    """Fractions of the run after which the learning rate is lowered."""
    gamma: float = Field(default=0.1, gt=0, lt=1)
    """What it is multiplied by each time."""


ScheduleSpec = Annotated[
    Constant | Cosine | LinearDecay | OneCycle | Step,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name", {"onecycle": "one-cycle"})),
]
