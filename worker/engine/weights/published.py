"""Files of published weights: found on disk, else downloaded, else a clear error.

LOWLAND_DATA_DIR/weights/<file>       read, never written
LOWLAND_DOWNLOAD_DIR/weights/<file>   what was downloaded earlier, or is now
"""

from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import torch
from torch import Tensor

from worker.engine.errors import EngineError
from worker.engine.network import network_timeout
from worker.engine.settings import EngineSettings

#: The folder in either of the two.
FOLDER: Final = "weights"


class WeightsUnavailable(EngineError):
    """The published weights are neither on disk nor to be had from the network."""

    type = "weights-unavailable"
    title = "The published weights cannot be had"

    def __init__(self, file: str, *, looked: Sequence[str], cause: BaseException) -> None:
        self.file = file
        super().__init__(
            f"{file} is not on disk ({'; '.join(looked)}) and downloading it failed ({type(cause).__name__}: {cause}). "
            f"Put it into the folder {FOLDER} of LOWLAND_DATA_DIR, give this machine internet access, "
            "or set model.pretrained to false."
        )


class WeightsBroken(EngineError):
    """The file of published weights is there and does not hold what it should."""

    type = "weights-broken"
    title = "The file of published weights is damaged"

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path} cannot be read: {problem}. Replace the file.")


def read_weights(url: str, settings: EngineSettings) -> dict[str, Tensor]:
    """The tensors in the file that a URL ends with, in the CPU's memory.

    Raises:
        WeightsUnavailable: no folder has the file and downloading it failed.
        WeightsBroken: the file cannot be read.
    """
    path = _find(url, settings)
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    # What torch raises for a file that is none of its own is not documented; the file is what is wrong.
    except Exception as error:
        raise WeightsBroken(path, f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(contents, dict):
        raise WeightsBroken(path, f"it holds a {type(contents).__name__}")
    return contents


def sha256_prefix(file: str) -> str:
    """torch's convention: `resnet18-f37072fd.pth` is named after the first digits of its SHA-256."""
    return PurePosixPath(file).stem.rpartition("-")[2]


def _find(url: str, settings: EngineSettings) -> Path:
    file = PurePosixPath(urlsplit(url).path).name
    looked: list[str] = []
    for setting, folder in (
        ("LOWLAND_DATA_DIR", settings.data_dir),
        ("LOWLAND_DOWNLOAD_DIR", settings.download_dir),
    ):
        if folder is None:
            looked.append(f"{setting} is not set")
        elif (path := folder / FOLDER / file).is_file():
            return path
        else:
            looked.append(f"{path} is not there")
    path = settings.download_dir / FOLDER / file
    try:
        _download(url, path)
    # torch raises RuntimeError for a wrong checksum.
    except (OSError, RuntimeError, HTTPException) as error:
        raise WeightsUnavailable(file, looked=looked, cause=error) from error
    return path


def _download(url: str, path: Path) -> None:
    """torch writes beside the path and renames, so that a file that is there is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with network_timeout():
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256_prefix(path.name), progress=False)
