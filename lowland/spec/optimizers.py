"""Base optimizers and learning-rate schedules a job can name. The unions below are the registries.

Fields are the keywords of the torch optimizer of that name.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lowland.spec.base import LARGEST, Conflict, SpecModel, shorthand


class Sgd(SpecModel):
    """Stochastic gradient descent with momentum (torch.optim.SGD)."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(default=0.1, gt=0, le=LARGEST)
    """Peak learning rate; typical 0.01 to 0.5."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the momentum buffer. 0 is plain gradient descent."""
    weight_decay: float = Field(default=5e-4, ge=0, le=LARGEST)
    """L2 penalty, applied by the base optimizer (the perturbation does not see it)."""
    nesterov: bool = True
    """Nesterov's form of momentum; needs momentum > 0."""

    @model_validator(mode="after")
    def _nesterov_wants_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise Conflict("momentum", "nesterov is true and momentum is 0; give momentum > 0, or nesterov = false")
        return self


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(SpecModel):
    """Adam with decoupled weight decay (torch.optim.AdamW)."""

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=LARGEST)
    """Peak learning rate; typical 1e-4 to 3e-3."""
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), strict=False)
    """Decay of the averages of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0, le=LARGEST)
    """Added to the denominator."""
    weight_decay: float = Field(default=0.01, ge=0, le=LARGEST)
    """Decoupled weight decay, relative to the learning rate."""


OptimizerSpec = Annotated[Sgd | AdamW, Field(discriminator="name"), BeforeValidator(shorthand("name"))]

WarmupEpochs = Annotated[float, Field(ge=0)]


class Constant(SpecModel):
    """The peak learning rate throughout, after a linear warm-up."""

    name: Literal["constant"] = "constant"
    warmup_epochs: WarmupEpochs = 0.0
    """Epochs in which the learning rate rises linearly from 0 to its peak."""


class Cosine(SpecModel):
    """From the peak to 0 along half a cosine, after a linear warm-up (Loshchilov and Hutter, ICLR 2017)."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: WarmupEpochs = 1.0
    """Epochs in which the learning rate rises linearly from 0 to its peak; by default a tenth of the run, at most 1."""


ScheduleSpec = Annotated[
    Constant | Cosine,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name")),
]
