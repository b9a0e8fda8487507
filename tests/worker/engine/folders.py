"""Folders of images for tests, under `root / "data" / "pets"`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lowland.spec.datasets import Folder
from worker.engine.data import DATASETS, Dataset, Samples
from worker.engine.settings import EngineSettings


def settings_in(root: Path) -> EngineSettings:
    """Own folders lie in `data`, decoded images in `decoded`."""
    return EngineSettings(data_dir=root / "data", cache_dir=root / "decoded")


def load(root: Path, path: str = "pets", **options: Any) -> Dataset:
    """Read a folder of images."""
    return DATASETS["folder"](Folder(path=path, **options), settings_in(root))


def pixels(seed: int, height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray:
    """An image, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    """Write an image, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write(root: Path, counts: Mapping[str, int]) -> None:
    """So many images in each of some folders under `pets`; image `i` of a folder is `pixels(i)`."""
    for folder, count in counts.items():
        for number in range(count):
            save(root / "data" / "pets" / folder / f"{number}.png", pixels(number))


def inputs_of(samples: Samples | None) -> torch.Tensor:
    """All images of a part that has to be there."""
    assert samples is not None
    return samples.inputs(torch.arange(len(samples)))
