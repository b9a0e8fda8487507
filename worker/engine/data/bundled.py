"""The datasets that come with scikit-learn, read from its files.

It is not imported for that: what it loads would be carried by every engine, which takes longer to fork and to end.
"""

from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.engine.data.checksums import checksums

_FOLDER: Final = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data")))


def read_numbers(name: str, *, delimiter: str | None = None, skip: int = 0) -> npt.NDArray[np.float64]:
    """A file's table, one row a line.

    Args:
        name: of the file, which may be compressed.
        delimiter: between numbers; None is any white space.
        skip: lines before the first row.
    """
    return np.loadtxt(_FOLDER / name, delimiter=delimiter, skiprows=skip, encoding="utf-8")


def bundled_checksums(*names: str) -> dict[str, str]:
    """SHA-256 of these files."""
    return checksums({name: _FOLDER / name for name in names})
