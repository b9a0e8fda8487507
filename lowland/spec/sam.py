"""The SAM variants a job can name. The union below is the registry: names, defaults, bounds and help are read from it.

A field's name is the keyword of the constructor in `sam`, and so is its default; an agreement test holds both together.
"""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from lowland.spec.base import LARGEST, Conflict, SpecModel, shorthand


def _read_infinity(value: object) -> object:
    if isinstance(value, float) and math.isinf(value):  # 1e999, which is no way to write it
        raise ValueError('it is beyond what a number can be; give a number >= 1, or "inf"')
    return math.inf if isinstance(value, str) and value.lower() == "inf" else value


def _write_infinity(value: float) -> float | str:
    return "inf" if math.isinf(value) else value


PNorm = Annotated[
    float,
    Field(ge=1, allow_inf_nan=True),
    BeforeValidator(_read_infinity),
    PlainSerializer(_write_infinity, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1}, {"const": "inf"}]}),
]
"""A norm's exponent in [1, inf]; infinity is the string "inf" in JSON."""

_Radius = Annotated[float, Field(ge=0, le=LARGEST)]


class RhoSchedule(SpecModel):
    """A radius that changes as training goes on."""

    schedule: Literal["constant", "linear", "cosine", "lr"]
    """Its course: "linear" or along half a "cosine" from `value` to `end`, following the learning rate ("lr"), or
    "constant", which is the number `value`."""
    value: _Radius
    """The radius at the first step; with "lr" at the learning rate's peak."""
    end: _Radius = 0.0
    """The radius at the end of the run; with "lr" where the learning rate is 0. Not with "constant"."""

    @model_validator(mode="after")
    def _constant_has_no_end(self) -> Self:
        if self.schedule == "constant" and "end" in self.model_fields_set:
            raise Conflict(
                "end", f'schedule is "constant" and end is {self.end:g}; leave end out, or give another schedule'
            )
        return self


def _number_or_object(value: object) -> str:
    return "object" if isinstance(value, Mapping | RhoSchedule) else "number"


def _plain_if_constant(schedule: RhoSchedule) -> float | RhoSchedule:
    return schedule.value if schedule.schedule == "constant" else schedule


Rho = Annotated[
    Annotated[_Radius, Tag("number")] | Annotated[RhoSchedule, AfterValidator(_plain_if_constant), Tag("object")],
    Discriminator(_number_or_object),
]
"""The radius of a neighbourhood: a number, or a schedule of numbers."""


class Active(SpecModel):
    """The steps a variant acts in. Any other step is the base optimizer's own, bit for bit, and takes one pass."""

    from_: float = Field(default=0.0, ge=0, lt=1, alias="from")
    """Fraction of the run before the first of them; 0 is from the start. 0.8 is late SAM (arXiv 2410.10373)."""
    until: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the run after which there are none; 1 is to the end."""
    every: int = Field(default=1, ge=1)
    """Only steps whose number, counted from 0, is a multiple of this; 1 is each step."""

    @model_validator(mode="after")
    def _from_comes_first(self) -> Self:
        if self.from_ >= self.until:
            raise Conflict("from", f"from is {self.from_:g} and until is {self.until:g}; give from < until")
        return self


ActiveSteps = Annotated[Active, Field(description="When to perturb at all; the base optimizer steps otherwise.")]
Shared = Annotated[
    bool,
    Field(
        description="Let data-parallel processes share the gradient that the perturbation is made from; false leaves "
        "each its own, which is m-sharpness with m the process's share of the batch, and saves a reduction."
    ),
]


class Passes(NamedTuple):
    """What a step of training takes, in passes over a whole batch."""

    forwards: float
    backwards: float

    @property
    def cost(self) -> float:
        """As a multiple of plain training's, where a backward pass takes as long as two forward ones."""
        return round((self.forwards + 2 * self.backwards) / 3, 2)


class Variant(SpecModel):
    """What every variant states of itself, as its file in `sam` does."""

    copies: ClassVar[int]
    """Copies of the weights that are held in the last pass of a step, beside the base optimizer's."""

    @property
    def passes(self) -> Passes:
        """What a step takes in which it acts, on average."""
        return Passes(2, 2)


class Plain(Variant):
    """No perturbation: the base optimizer itself, the baseline of every comparison."""

    copies = 0
    variant: Literal["none"] = "none"

    @property
    def passes(self) -> Passes:
        return Passes(1, 1)


class Sam(Variant):
    """Perturb along the gradient in any p-norm (SAM, Foret et al., ICLR 2021; ASAM, Kwon et al., ICML 2021)."""

    copies = 1
    variant: Literal["sam"] = "sam"
    rho: Rho = 0.05
    """Radius of the neighbourhood, in the p-norm over all parameters. 0 is the base optimizer; typical 0.05 to 0.2."""
    p: PNorm = 2.0
    """The norm's exponent, 1 to "inf". 2 follows the gradient, "inf" its sign, 1 its largest coordinate."""
    adaptive: bool = False
    """Scale the neighbourhood by |w| + eta, invariant to rescaling (ASAM); wants a larger rho, 0.5 to 2."""
    eta: float = Field(default=0.01, ge=0, le=LARGEST)
    """What is added to |w| when `adaptive`; without effect otherwise."""
    second_order: bool = False
    """Keep the term of the SAM gradient that contains the Hessian; for p = 2, neither adaptive nor with shards."""
    shard_size: int | None = Field(default=None, ge=1)
    """Samples that share one perturbation (m-sharpness); null is the whole batch."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False

    @model_validator(mode="after")
    def _second_order_is_of_plain_sam(self) -> Self:
        if self.second_order and self.p != 2:
            raise Conflict("p", f"second_order is true and p is {self.p:g}; give p = 2, or second_order = false")
        if self.second_order and self.adaptive:
            raise Conflict("adaptive", "second_order is true and adaptive is true; set one of them to false")
        if self.second_order and self.shard_size is not None:
            raise Conflict(
                "shard_size", f"second_order is true and shard_size is {self.shard_size}; leave one of them out"
            )
        return self


class SparseFisher(Variant):
    """Perturb only the coordinates with the largest empirical Fisher information (SSAM-F, Mi et al., NeurIPS 2022)."""

    copies = 2
    variant: Literal["ssam-f"] = "ssam-f"
    rho: Rho = 0.05
    """Length of the unmasked perturbation (L2 over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    sparsity: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of the coordinates that is not perturbed. 0 is SAM."""
    num_samples: int = Field(default=128, ge=1)
    """Training samples the Fisher information is estimated from, one gradient each."""
    update_every: int = Field(default=1, ge=1)
    """Epochs between two updates of the mask."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False


class SparseDynamic(Variant):
    """Perturb a random subset that is re-drawn in part as training goes (SSAM-D, Mi et al., NeurIPS 2022)."""

    copies = 2
    variant: Literal["ssam-d"] = "ssam-d"
    rho: Rho = 0.05
    """Length of the unmasked perturbation (L2 over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    sparsity: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of the coordinates that is not perturbed. 0 is SAM."""
    drop_rate: float = Field(default=0.5, ge=0, le=1)
    """Fraction of the perturbed coordinates exchanged at the first update; falls to 0 by a cosine."""
    update_every: int = Field(default=1, ge=1)
    """Epochs between two updates of the mask."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False


class Friendly(Variant):
    """Perturb along the batch-specific part of the gradient (FriendlySAM, Li et al., CVPR 2024)."""

    copies = 3
    variant: Literal["friendly"] = "friendly"
    rho: Rho = 0.1
    """Length of the perturbation (L2 norm over all parameters). 0 is the base optimizer; typical 0.1 to 0.2."""
    sigma: float = Field(default=1.0, ge=0, le=LARGEST)
    """How much of the running average is taken out of the gradient before perturbing. 0 is SAM."""
    lmbda: float = Field(default=0.9, ge=0, lt=1, validation_alias=AliasChoices("lmbda", "lambda"))
    """Decay of the running average of gradients, per step. 0 keeps only the last gradient."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False


class Imbalanced(Variant):
    """Perturb for the rare classes only (ImbSAM, Zhou et al., ICCV 2023)."""

    copies = 2
    variant: Literal["imbsam"] = "imbsam"
    rho: Rho = 0.05
    """Length of the perturbation (L2 norm over all parameters). 0 with tail_weight 1 is the base optimizer."""
    tail_below: float = Field(default=0.5, gt=0)
    """Classes with fewer training samples are tail: below 1 a quantile of the class counts, from 1 on a count."""
    tail_weight: float = Field(default=2.0, ge=0, le=LARGEST)
    """Weight of the tail classes' loss. 1 is the paper's form."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False

    @property
    def passes(self) -> Passes:
        return Passes(2, 3)


class SurrogateGap(Variant):
    """Narrow the gap between the worst loss nearby and the loss itself (GSAM, Zhuang et al., ICLR 2022)."""

    copies = 2
    variant: Literal["gsam"] = "gsam"
    rho: Rho = RhoSchedule(schedule="lr", value=0.05, end=0.0)
    """Length of the perturbation (L2 norm over all parameters). By default it follows the learning rate, as in the
    paper. 0 is the base optimizer; typical 0.05 to 0.2."""
    alpha: float = Field(default=0.4, ge=0, le=LARGEST)
    """How much of the clean gradient's part orthogonal to the perturbed one is taken off. 0 is SAM."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False


class Look(Variant):
    """Perturb at every k-th step and reuse what that found in between (LookSAM, Liu et al., CVPR 2022)."""

    copies = 3
    variant: Literal["looksam"] = "looksam"
    rho: Rho = 0.05
    """Length of the perturbation (L2 norm over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    alpha: float = Field(default=0.3, ge=0, le=LARGEST)
    """Weight of the reused part between two perturbed steps, relative to the gradient. 0 perturbs every k-th step."""
    k: int = Field(default=5, ge=1)
    """Steps from one perturbed step to the next; each costs (k + 1) / k passes on average. 1 is SAM."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False

    @property
    def passes(self) -> Passes:
        return Passes((self.k + 1) / self.k, (self.k + 1) / self.k)


class Momentum(Variant):
    """Perturb against the base optimizer's momentum, in one pass (MSAM, Becker et al., 2024)."""

    copies = 1
    variant: Literal["msam"] = "msam"
    rho: Rho = 3.0
    """Length of the perturbation (L2 norm over all parameters), far longer than SAM's. 0 is the base optimizer; typical
    1 to 5."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False

    @property
    def passes(self) -> Passes:
        return Passes(1, 1)


class Efficient(Variant):
    """Perturb random coordinates, then learn from the samples whose loss rose most (ESAM, Du et al., ICLR 2022)."""

    copies = 1
    variant: Literal["esam"] = "esam"
    rho: Rho = 0.05
    """Length of the unmasked perturbation (L2 over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    beta: float = Field(default=0.6, gt=0, le=1)
    """Fraction of the coordinates that is perturbed, by 1/beta as much. 1 is all of them."""
    gamma: float = Field(default=0.5, gt=0, le=1)
    """Fraction of the batch that the perturbed gradient is taken on. 1 is all of it."""
    active: ActiveSteps = Active()
    sync_perturbation: Shared = False

    @property
    def passes(self) -> Passes:
        return Passes(2 + self.gamma, 1 + self.gamma)


#: Other spellings of the variants' names: the names of the classes and what people type. Case and `_` do not matter.
ALIASES: Final = {
    "ssamf": "ssam-f",
    "ssamd": "ssam-d",
    "friendlysam": "friendly",
    "friendly-sam": "friendly",
    "f-sam": "friendly",
    "fsam": "friendly",
    "imb-sam": "imbsam",
    "look-sam": "looksam",
    "momentum-sam": "msam",
    "plain": "none",
}

SamSpec = Annotated[
    Plain | Sam | SparseFisher | SparseDynamic | Friendly | Imbalanced | SurrogateGap | Look | Momentum | Efficient,
    Field(discriminator="variant"),
    BeforeValidator(shorthand("variant", ALIASES)),
]
