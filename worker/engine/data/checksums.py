"""SHA-256 of the files a dataset was read from: with them two runs can tell whether they saw the same data."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sklearn import datasets

from worker.engine.reporting import SILENT, PreparingMeter, Reporter

#: Where scikit-learn keeps the datasets that come with it.
_BUNDLED: Final = Path(datasets.__file__).parent / "data"


def checksums(files: Mapping[str, Path], reporter: Reporter = SILENT) -> dict[str, str]:
    """The checksum of each file, by the name it is given under; the reporter is told now and then how far it is."""
    meter = PreparingMeter(reporter, "checksums", of=len(files))
    sums: dict[str, str] = {}
    for name, path in files.items():
        sums[name] = _sha256(path)
        meter.count(1)
    return sums


def bundled_checksums(*names: str) -> dict[str, str]:
    """Those of files that come with scikit-learn."""
    return checksums({name: _BUNDLED / name for name in names})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
