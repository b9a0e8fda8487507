"""Base optimizers a job can name. The union below is the registry; learning-rate schedules stand in `schedules.py`.

Fields are the keywords of the torch optimizer of that name.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lowland.spec.base import LARGEST, Conflict, SpecModel, shorthand

Beta = Annotated[float, Field(ge=0, lt=1)]


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


class _Adaptive(SpecModel):
    lr: float = Field(default=1e-3, gt=0, le=LARGEST)
    """Peak learning rate; typical 1e-4 to 3e-3."""
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), strict=False)
    """Decay of the averages of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0, le=LARGEST)
    """Added to the denominator."""


class Adam(_Adaptive):
    """Adam (torch.optim.Adam; Kingma and Ba, ICLR 2015)."""

    name: Literal["adam"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0, le=LARGEST)
    """L2 penalty, added to the gradient before it is averaged."""


class AdamW(_Adaptive):
    """Adam with decoupled weight decay (torch.optim.AdamW; Loshchilov and Hutter, ICLR 2019)."""

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0, le=LARGEST)
    """Decoupled weight decay, relative to the learning rate."""


class RmsProp(SpecModel):
    """RMSprop (torch.optim.RMSprop; Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: float = Field(default=1e-3, gt=0, le=LARGEST)
    """Peak learning rate; typical 1e-4 to 1e-2."""
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the average of the gradient's square."""
    eps: float = Field(default=1e-8, gt=0, le=LARGEST)
    """Added to the denominator."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the momentum buffer; 0 has none."""
    weight_decay: float = Field(default=0.0, ge=0, le=LARGEST)
    """L2 penalty, added to the gradient."""


class Muon(SpecModel):
    """Muon on the hidden weight matrices (torch.optim.Muon; Jordan et al., 2024), AdamW on everything else.

    Those of mlp, vit-tiny and some of torchvision's models; kernels of convolutions are not matrices.

    Muon's updates are scaled to the size of AdamW's, so that one learning rate does for both.
    """

    name: Literal["muon"] = "muon"
    lr: float = Field(default=1e-3, gt=0, le=LARGEST)
    """Peak learning rate of both; typical 3e-4 to 3e-3."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Decay of Muon's momentum buffer."""
    nesterov: bool = True
    """Nesterov's form of Muon's momentum."""
    ns_steps: int = Field(default=5, ge=1, le=20)
    """Newton-Schulz iterations that orthogonalise each update."""
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), strict=False)
    """AdamW's decays."""
    eps: float = Field(default=1e-8, gt=0, le=LARGEST)
    """Added to AdamW's denominator."""
    weight_decay: float = Field(default=0.01, ge=0, le=LARGEST)
    """Decoupled weight decay of both, relative to the learning rate."""


OptimizerSpec = Annotated[
    Sgd | Adam | AdamW | RmsProp | Muon,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name")),
]
