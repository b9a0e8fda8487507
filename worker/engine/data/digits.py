"""digits: 1,797 real handwritten digits of 8x8 pixels (Alpaydin and Kaynak, 1998). They come with scikit-learn."""

from typing import Final

import torch

from lowland.spec.datasets import Digits
from worker.engine.data.bundled import bundled_checksums, read_numbers
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import with_test_part
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: Pixels are counts of dark points in blocks of 4x4.
_DARKEST: Final = 16


def load(spec: Digits, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read them from scikit-learn's own files; no network, no data folder."""
    table = torch.from_numpy(read_numbers("digits.csv.gz", delimiter=","))  # 64 pixels and the digit
    images = (table[:, :-1] * 255 / _DARKEST).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    train, test = with_test_part(spec.name, Samples(source=images, targets=table[:, -1].long()))
    return Dataset(
        train=train,
        test=test,
        classes=tuple(str(digit) for digit in range(10)),
        checksums=bundled_checksums("digits.csv.gz"),
    )
