"""The datasets the engine can read, one line each; the names are the contract's (`lowland.spec.datasets`)."""

from collections.abc import Mapping
from typing import Final

from worker.engine.data import (
    breast_cancer,
    cifar10,
    cifar100,
    diabetes,
    digits,
    fashion_mnist,
    folder,
    kmnist,
    linear,
    mnist,
    svhn,
    table,
)
from worker.engine.data.dataset import Dataset, Load, Samples

__all__ = ["DATASETS", "Dataset", "Load", "Samples"]

DATASETS: Final[Mapping[str, Load]] = {
    "digits": digits.load,
    "mnist": mnist.FILES.load,
    "kmnist": kmnist.FILES.load,
    "fashion-mnist": fashion_mnist.FILES.load,
    "cifar10": cifar10.FILES.load,
    "cifar100": cifar100.FILES.load,
    "svhn": svhn.FILES.load,
    "linear": linear.load,
    "diabetes": diabetes.load,
    "breast-cancer": breast_cancer.load,
    "folder": folder.load,
    "table": table.load,
}
