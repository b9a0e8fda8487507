"""The datasets the engine can read, one line each; the names are the contract's (`lowland.spec.datasets`)."""

from collections.abc import Mapping
from typing import Final

from worker.engine.data import cifar10, digits, fashion_mnist, kmnist
from worker.engine.data.dataset import Dataset, Load, Samples

__all__ = ["DATASETS", "Dataset", "Load", "Samples"]

DATASETS: Final[Mapping[str, Load]] = {
    "digits": digits.load,
    "kmnist": kmnist.FILES.load,
    "fashion-mnist": fashion_mnist.FILES.load,
    "cifar10": cifar10.FILES.load,
}
