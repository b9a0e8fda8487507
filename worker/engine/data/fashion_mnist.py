"""fashion-mnist: 70,000 pictures of clothes (Xiao, Rasul and Vollgraf, 2017)."""

from typing import Final

from torchvision.datasets import FashionMNIST

from worker.engine.data.idx import idx_files, idx_sha256
from worker.engine.data.torchvision_files import TorchvisionFiles

FILES: Final = TorchvisionFiles(
    name="fashion-mnist", reader=FashionMNIST, files=idx_files("FashionMNIST"), sha256=idx_sha256("FashionMNIST")
)
