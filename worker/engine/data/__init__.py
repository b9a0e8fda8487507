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
from worker.engine.data.torchvision_files import TorchvisionFiles

__all__ = ["DATASETS", "FILES", "Dataset", "Load", "Samples"]

#: Those whose files are published, and fetched.
FILES: Final[Mapping[str, TorchvisionFiles]] = {
    "mnist": mnist.FILES,
    "kmnist": kmnist.FILES,
    "fashion-mnist": fashion_mnist.FILES,
    "cifar10": cifar10.FILES,
    "cifar100": cifar100.FILES,
    "svhn": svhn.FILES,
}
DATASETS: Final[Mapping[str, Load]] = {
    **{name: files.load for name, files in FILES.items()},
    "digits": digits.load,
    "linear": linear.load,
    "diabetes": diabetes.load,
    "breast-cancer": breast_cancer.load,
    "folder": folder.load,
    "table": table.load,
}
