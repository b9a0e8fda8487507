"""cifar10: 60,000 photographs of ten kinds of things (Krizhevsky, 2009).

The files are pickles; torchvision reads them only where their MD5 sums are the published ones.
"""

from typing import Final

from torchvision.datasets import CIFAR10

from worker.engine.data.torchvision_files import TorchvisionFiles

_BATCHES: Final = (
    "data_batch_1",
    "data_batch_2",
    "data_batch_3",
    "data_batch_4",
    "data_batch_5",
    "test_batch",
)

FILES: Final = TorchvisionFiles(
    name="cifar10",
    reader=CIFAR10,
    files=[f"cifar-10-batches-py/{name}" for name in (*_BATCHES, "batches.meta")],
)
