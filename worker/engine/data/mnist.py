"""mnist: 70,000 handwritten digits (LeCun, Cortes and Burges, 1998)."""

from typing import Final

from torchvision.datasets import MNIST

from worker.engine.data.idx import idx_files, idx_sha256
from worker.engine.data.torchvision_files import TorchvisionFiles

FILES: Final = TorchvisionFiles(
    name="mnist",
    reader=MNIST,
    files=idx_files("MNIST"),
    sha256=idx_sha256("MNIST"),
    classes=tuple(str(digit) for digit in range(10)),
)
