"""Where the datasets of the MNIST family lie: four idx files in a folder named after torchvision's class."""

from collections.abc import Sequence


def idx_files(folder: str) -> Sequence[str]:
    """The four files' paths under a data folder."""
    return [
        f"{folder}/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ]
