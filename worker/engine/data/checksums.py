"""SHA-256 of the files a dataset was read from: with them two runs can tell whether they saw the same data."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from worker.engine.reporting import SILENT, PreparingMeter, Reporter


def checksums(files: Mapping[str, Path], reporter: Reporter = SILENT) -> dict[str, str]:
    """The checksum of each file, by the name it is given under; the reporter is told now and then how far it is."""
    meter = PreparingMeter(reporter, "checksums", of=len(files))
    sums: dict[str, str] = {}
    for name, path in files.items():
        sums[name] = _sha256(path)
        meter.count(1)
    return sums


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
