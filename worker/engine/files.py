"""Writing a file so that it is there complete or not at all."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lowland.disk import sync_folder

Write = Callable[[BinaryIO], object]
"""Writes a file's contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A complete file on disk."""

    name: str
    size_bytes: int
    sha256: str


def write_file(path: Path, write: Write) -> Written:
    """Write under another name, bring it to disk, rename: whoever finds the file finds all of it, after a crash too."""
    (written,) = write_files(path.parent, {path.name: write})
    return written


def write_files(folder: Path, files: Mapping[str, Write]) -> list[Written]:
    """Several files of one folder as `write_file` writes one; a disk brings them home sooner together."""
    arriving = {name: folder / f".{name}.writing" for name in files}
    try:
        for name, write in files.items():
            with arriving[name].open("wb") as file:
                write(file)
        written = [_brought_to_disk(name, path) for name, path in arriving.items()]
        for name, path in arriving.items():
            path.replace(folder / name)
    finally:
        for path in arriving.values():
            path.unlink(missing_ok=True)
    sync_folder(folder)
    return written


def _brought_to_disk(name: str, path: Path) -> Written:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Written(name=name, size_bytes=file.tell(), sha256=sha256)
