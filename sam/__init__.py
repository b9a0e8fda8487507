"""Sharpness-Aware Minimization for PyTorch: optimizers that look for flat minima.

    optimizer = sam.SAM(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1, momentum=0.9, model=model)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        return loss

    loss = optimizer.step(closure)

One class per variant, all with the calls of `SamOptimizer`; `VARIANTS` names them and `build` makes one by
name.
"""

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from torch.optim.optimizer import ParamsT

from sam._around import BaseOptimizer
from sam._plan import Active, Rho, RhoSchedule
from sam.base import SamOptimizer
from sam.batch import Accumulated, Batch, Minibatch
from sam.errors import NonFiniteGradient
from sam.esam import ESAM
from sam.friendly import FriendlySAM
from sam.gsam import GSAM
from sam.imbsam import ImbSAM
from sam.looksam import LookSAM
from sam.msam import MSAM
from sam.plain import Plain
from sam.pnorm import SAM
from sam.ssam_dynamic import SSAMD
from sam.ssam_fisher import SSAMF

__all__ = [
    "ESAM",
    "GSAM",
    "MSAM",
    "SAM",
    "SSAMD",
    "SSAMF",
    "VARIANTS",
    "Accumulated",
    "Active",
    "Batch",
    "FriendlySAM",
    "ImbSAM",
    "LookSAM",
    "Minibatch",
    "NonFiniteGradient",
    "Plain",
    "Rho",
    "RhoSchedule",
    "SamOptimizer",
    "build",
]

#: Every variant by its name on the wire.
VARIANTS: Final[Mapping[str, type[SamOptimizer]]] = MappingProxyType(
    {
        "none": Plain,
        "sam": SAM,
        "ssam-f": SSAMF,
        "ssam-d": SSAMD,
        "friendly": FriendlySAM,
        "imbsam": ImbSAM,
        "gsam": GSAM,
        "looksam": LookSAM,
        "msam": MSAM,
        "esam": ESAM,
    }
)


def build(name: str, params: ParamsT, base_optimizer: BaseOptimizer, **options: object) -> SamOptimizer:
    """Make the variant of that name; `options` are its keywords and the base optimizer's, as its class takes
    them.

    Raises:
        ValueError: no variant has that name; the message gives the nearest that exist.
    """
    if name not in VARIANTS:
        near = difflib.get_close_matches(name, VARIANTS, cutoff=0.4) or list(VARIANTS)
        raise ValueError(f"variant must be one of {', '.join(map(repr, near))}, got {name!r}")
    variant = cast(Callable[..., SamOptimizer], VARIANTS[name])  # each class has keywords of its own
    return variant(params, base_optimizer, **options)
