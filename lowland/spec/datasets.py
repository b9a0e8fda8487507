"""The datasets a job can name, with the options they share. The union below is the registry.

A dataset is one entry here and one in `worker.engine.data`; what suits it (model, epochs, learning rate) stands in
`recipes.py`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from lowland.spec.base import SpecModel, shorthand

Augment = Literal["none", "shift", "flip", "crop-flip", "cutout"]
"""How training images are varied: shifts by up to 2 pixels, left-right flips, reflected shifts by up to 4 with flips,
or the latter with an 8x8 square cut out."""


class Imbalance(SpecModel):
    """Thin out the training classes, most for the last one."""

    kind: Literal["exponential", "step"] = "exponential"
    """How class sizes fall: by a constant factor from class to class, or at once for the second half of the classes."""
    factor: float = Field(default=100.0, ge=1)
    """Size of the largest class over that of the smallest."""


class _Dataset(SpecModel):
    augment: Augment = "none"
    """How training images are varied; each dataset has its own default."""
    validation_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Fraction of the training set held out to choose weights by (stratified, seeded). 0 chooses the last weights."""
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the training labels replaced by another class, drawn uniformly (seeded)."""
    imbalance: Imbalance | None = None
    """Thin out the training classes; null leaves them as they are."""
    limit: int | None = Field(default=None, ge=1)
    """Training samples to use at most (stratified, seeded), before the validation part is split off; null is all."""


class Digits(_Dataset):
    """1,797 real handwritten digits, 8x8 grey, 10 classes; comes with scikit-learn. Test: a fixed stratified 20 %."""

    name: Literal["digits"] = "digits"


class Kmnist(_Dataset):
    """Kuzushiji-MNIST: 70,000 handwritten Japanese characters, 28x28 grey, 10 classes."""

    name: Literal["kmnist"] = "kmnist"


class FashionMnist(_Dataset):
    """Fashion-MNIST: 70,000 pictures of clothes, 28x28 grey, 10 classes."""

    name: Literal["fashion-mnist"] = "fashion-mnist"


class Cifar10(_Dataset):
    """CIFAR-10: 60,000 photographs, 32x32 colour, 10 classes."""

    name: Literal["cifar10"] = "cifar10"


ALIASES = {"fashionmnist": "fashion-mnist", "fmnist": "fashion-mnist", "cifar-10": "cifar10"}

DatasetSpec = Annotated[
    Digits | Kmnist | FashionMnist | Cifar10,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name", ALIASES)),
]
