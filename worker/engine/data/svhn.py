"""svhn: 99,289 digits cut out of photographs of house numbers (Netzer et al., 2011), without the extra images.

torchvision reads the files, which are MATLAB's, only where their MD5 sums are the published ones.
"""

from typing import Final

from torchvision.datasets import SVHN

from worker.engine.data.torchvision_files import TorchvisionFiles


class Reader(SVHN):
    """torchvision's class, asked for a part and answering as those of the other datasets do."""

    classes = tuple(str(digit) for digit in range(10))

    def __init__(self, root: str, train: bool, *, download: bool) -> None:
        super().__init__(root, "train" if train else "test", download=download)
        self.data = self.data.transpose(0, 2, 3, 1)
        self.targets = self.labels


FILES: Final = TorchvisionFiles(name="svhn", reader=Reader, files=["train_32x32.mat", "test_32x32.mat"])
