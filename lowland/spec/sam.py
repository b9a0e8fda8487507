"""The SAM variants a job can name. The union below is the registry: names, defaults, bounds and help are read from it.

A field's name is the keyword of the constructor in `sam`, and so is its default; an agreement test holds both together.
"""

import math
from typing import Annotated, Final, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from lowland.spec.base import LARGEST, Conflict, SpecModel, shorthand


def _read_infinity(value: object) -> object:
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

Rho = Annotated[float, Field(ge=0, le=LARGEST)]


class Plain(SpecModel):
    """No perturbation: the base optimizer itself, the baseline of every comparison."""

    variant: Literal["none"] = "none"


class Sam(SpecModel):
    """Perturb along the gradient in any p-norm (SAM, Foret et al., ICLR 2021; ASAM, Kwon et al., ICML 2021)."""

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
    """Keep the term of the SAM gradient that contains the Hessian; only for p = 2, at twice the cost."""
    shard_size: int | None = Field(default=None, ge=1)
    """Samples that share one perturbation (m-sharpness); null is the whole batch."""

    @model_validator(mode="after")
    def _second_order_wants_p_2(self) -> Self:
        if self.second_order and self.p != 2:
            raise Conflict("p", f"second_order is true and p is {self.p:g}; give p = 2, or second_order = false")
        return self


class SparseFisher(SpecModel):
    """Perturb only the coordinates with the largest empirical Fisher information (SSAM-F, Mi et al., NeurIPS 2022)."""

    variant: Literal["ssam-f"] = "ssam-f"
    rho: Rho = 0.05
    """Length of the unmasked perturbation (L2 over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    sparsity: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of the coordinates that is not perturbed. 0 is SAM."""
    num_samples: int = Field(default=128, ge=1)
    """Training samples the Fisher information is estimated from, one gradient each."""
    update_every: int = Field(default=1, ge=1)
    """Epochs between two updates of the mask."""


class SparseDynamic(SpecModel):
    """Perturb a random subset that is re-drawn in part as training goes (SSAM-D, Mi et al., NeurIPS 2022)."""

    variant: Literal["ssam-d"] = "ssam-d"
    rho: Rho = 0.05
    """Length of the unmasked perturbation (L2 over all parameters). 0 is the base optimizer; typical 0.05 to 0.2."""
    sparsity: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of the coordinates that is not perturbed. 0 is SAM."""
    drop_rate: float = Field(default=0.5, ge=0, le=1)
    """Fraction of the perturbed coordinates exchanged at the first update; falls to 0 by a cosine."""
    update_every: int = Field(default=1, ge=1)
    """Epochs between two updates of the mask."""


class Friendly(SpecModel):
    """Perturb along the batch-specific part of the gradient (FriendlySAM, Li et al., CVPR 2024)."""

    variant: Literal["friendly"] = "friendly"
    rho: Rho = 0.1
    """Length of the perturbation (L2 norm over all parameters). 0 is the base optimizer; typical 0.1 to 0.2."""
    sigma: float = Field(default=1.0, ge=0, le=LARGEST)
    """How much of the running average is taken out of the gradient before perturbing. 0 is SAM."""
    lmbda: float = Field(default=0.9, ge=0, lt=1, validation_alias=AliasChoices("lmbda", "lambda"))
    """Decay of the running average of gradients, per step. 0 keeps only the last gradient."""


class Imbalanced(SpecModel):
    """Perturb for the rare classes only (ImbSAM, Zhou et al., ICCV 2023)."""

    variant: Literal["imbsam"] = "imbsam"
    rho: Rho = 0.05
    """Length of the perturbation (L2 norm over all parameters). 0 with tail_weight 1 is the base optimizer."""
    tail_below: float = Field(default=0.5, gt=0)
    """Classes with fewer training samples are tail: below 1 a quantile of the class counts, from 1 on a count."""
    tail_weight: float = Field(default=2.0, ge=0, le=LARGEST)
    """Weight of the tail classes' loss. 1 is the paper's form."""


#: Other spellings of the variants' names: the seed's class names and what people type. Case and `_` do not matter.
ALIASES: Final = {
    "ssamf": "ssam-f",
    "ssamd": "ssam-d",
    "friendlysam": "friendly",
    "friendly-sam": "friendly",
    "f-sam": "friendly",
    "fsam": "friendly",
    "imb-sam": "imbsam",
}

SamSpec = Annotated[
    Plain | Sam | SparseFisher | SparseDynamic | Friendly | Imbalanced,
    Field(discriminator="variant"),
    BeforeValidator(shorthand("variant", ALIASES)),
]
