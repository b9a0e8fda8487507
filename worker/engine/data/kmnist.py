"""kmnist: Kuzushiji-MNIST, 70,000 handwritten Japanese characters (Clanuwat et al., 2018)."""

from typing import Final

from torchvision.datasets import KMNIST

from worker.engine.data.idx import idx_files, idx_sha256
from worker.engine.data.torchvision_files import TorchvisionFiles

FILES: Final = TorchvisionFiles(name="kmnist", reader=KMNIST, files=idx_files("KMNIST"), sha256=idx_sha256("KMNIST"))
