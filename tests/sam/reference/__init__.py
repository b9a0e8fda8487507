"""Every variant as the papers write it: float64, one tensor at a time, slow and obvious. What `sam` computes is
held equal to it.

    training    gradients, the base optimizers, when a step is active and how large rho is
    norms       SAM for any p-norm, adaptive, in shards, with its second-order term
    sparse      SSAM-F and SSAM-D
    directions  FriendlySAM, GSAM, LookSAM, MSAM: what one gradient is for the next
    samples     ImbSAM and ESAM: what one sample is beside another
    lockstep    `sam` and a reference, step by step
"""

from tests.sam.reference.directions import Friendly, Gsam, LookSam, Msam
from tests.sam.reference.norms import Options, Sam, SecondOrder, Shards, dual, p_norm, perturbation, sam_with_sgd
from tests.sam.reference.samples import Esam, ImbSam, most_risen, tail_classes
from tests.sam.reference.sparse import Sparse, drop_fraction, fisher, live_count, top
from tests.sam.reference.training import (
    Adam,
    Base,
    Data,
    Sgd,
    Tensors,
    Variant,
    along,
    dot,
    gradient,
    is_active,
    mean_gradient,
    norm,
    plus,
    rho_at,
)

__all__ = [
    "Adam",
    "Base",
    "Data",
    "Esam",
    "Friendly",
    "Gsam",
    "ImbSam",
    "LookSam",
    "Msam",
    "Options",
    "Sam",
    "SecondOrder",
    "Sgd",
    "Shards",
    "Sparse",
    "Tensors",
    "Variant",
    "along",
    "dot",
    "drop_fraction",
    "dual",
    "fisher",
    "gradient",
    "is_active",
    "live_count",
    "mean_gradient",
    "most_risen",
    "norm",
    "p_norm",
    "perturbation",
    "plus",
    "rho_at",
    "sam_with_sgd",
    "tail_classes",
    "top",
]
