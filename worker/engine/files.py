"""Writing a file so that it is there complete or not at all."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A complete file on disk."""

    name: str
    size_bytes: int
    sha256: str


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> Written:
    """Write under another name, bring it to disk, rename: whoever finds the file finds all of it, after a crash too."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with temporary.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return Written(name=path.name, size_bytes=size_bytes, sha256=sha256)


def _sync_folder(folder: Path) -> None:
    """The new name is on disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
