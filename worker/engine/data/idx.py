"""The four idx files of a dataset of the MNIST family: where they lie, in a folder named after torchvision's class, and
what is in them.

torchvision has sums of the compressed files alone. These are of what they unpack to, made from files whose compressed
forms have torchvision's sums.
"""

from collections.abc import Mapping, Sequence
from typing import Final

#: SHA-256 of each file, in the order of `idx_files`.
_SHA256: Final[Mapping[str, Sequence[str]]] = {
    "MNIST": [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
    "KMNIST": [
        "7112ba9ec422d98de4885262d4a4dff14cc4fefb81c11ace8bf563a8255df5c3",
        "2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b",
        "76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e",
        "a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6",
    ],
    "FashionMNIST": [
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ],
}


def idx_files(folder: str) -> Sequence[str]:
    """The four files' paths under a data folder."""
    return [
        f"{folder}/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ]


def idx_sha256(folder: str) -> Mapping[str, str]:
    """Their checksums, by their paths."""
    return dict(zip(idx_files(folder), _SHA256[folder], strict=True))
