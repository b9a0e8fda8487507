"""digits: 1,797 real handwritten digits of 8x8 pixels (Alpaydin and Kaynak, 1998). They come with scikit-learn."""

from typing import Final

import torch
from sklearn import datasets

from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import stratified
from worker.engine.randomness import generator_for
from worker.engine.settings import EngineSettings

#: The set has no test part of its own: this much of it is one, the same in every job.
TEST_FRACTION: Final = 0.2
_TEST_SEED: Final = 0

#: Pixels are counts of dark points in blocks of 4x4.
_DARKEST: Final = 16


def load(settings: EngineSettings) -> Dataset:
    """Read them from scikit-learn's own files; no network, no data folder."""
    pixels, labels = _read()
    images = (pixels * 255 / _DARKEST).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    everything = Samples(images=images, labels=labels)
    train, test = stratified(labels, round(TEST_FRACTION * len(labels)), generator_for(_TEST_SEED, "digits: test part"))
    return Dataset(train=everything[train], test=everything[test], classes=10)


def _read() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = datasets.load_digits(return_X_y=True)
    return torch.from_numpy(pixels), torch.from_numpy(labels).long()
