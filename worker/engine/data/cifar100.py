"""cifar100: 60,000 photographs of a hundred kinds of things (Krizhevsky, 2009). Its files are like those of cifar10."""

from typing import Final

from torchvision.datasets import CIFAR100

from worker.engine.data.torchvision_files import TorchvisionFiles

FILES: Final = TorchvisionFiles(
    name="cifar100",
    reader=CIFAR100,
    files=[f"cifar-100-python/{name}" for name in ("train", "test", "meta")],
)
