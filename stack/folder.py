"""The data folder: what outlives a server, and the lock that keeps a second one out.

DATA/lock         held while a server or its Redis runs
DATA/valkey/      the ledger: configuration with this run's password, append-only files
DATA/artifacts/   what jobs have made
DATA/cache/       what torch keeps for itself
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stack.errors import FolderInUse, FolderUnusable, SettingsInvalid

#: How long to wait for the lock: a killed server's Redis holds it until it is gone too.
LOCK_S: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A folder that is ours for now."""

    path: Path
    lock: int
    """The locked descriptor; whoever inherits it keeps the folder locked."""

    @property
    def artifacts(self) -> Path:
        """Where what jobs have made lies."""
        return self.path / "artifacts"

    @property
    def cache(self) -> Path:
        """Where torch keeps what it compiles."""
        return self.path / "cache"

    @property
    def valkey(self) -> Path:
        """Where the embedded server keeps the ledger."""
        return self.path / "valkey"


@contextmanager
def data_folder(path: Path) -> Iterator[DataFolder]:
    """Make the folder where it is not there, and hold it.

    Raises:
        FolderUnusable: it cannot be made or written.
        FolderInUse: another server holds it.
    """
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderUnusable(path, (error.strerror or str(error)).lower()) from error
    try:
        _lock(path, lock)
        folder = DataFolder(path=path, lock=lock)
        for part in (folder.artifacts, folder.valkey):
            _make(path, part)
        yield folder
    finally:
        os.close(lock)


def check_artifacts(folder: Path) -> None:
    """Make sure that what jobs make can be written where the settings say.

    Raises:
        SettingsInvalid: it cannot.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid("LOWLAND_ARTIFACT_DIR", f"{folder}: {(error.strerror or str(error)).lower()}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsInvalid("LOWLAND_ARTIFACT_DIR", f"{folder} is not writable")


def _make(path: Path, part: Path) -> None:
    try:
        part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(path, (error.strerror or str(error)).lower()) from error
    if not os.access(part, os.W_OK | os.X_OK):
        raise FolderUnusable(path, f"{part.name} is not writable")


def _lock(path: Path, lock: int) -> None:
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FolderInUse(path, os.pread(lock, 20, 0).decode("ascii", "replace").strip()) from None
            time.sleep(0.05)
        else:
            break
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
