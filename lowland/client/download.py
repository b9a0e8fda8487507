"""A file that is arriving: it lies beside its target under another name until it is whole and verified.

What has arrived of it stays there when the connection breaks for good, and the next download goes on from it. Its name
holds the digest of the whole, so that it is never taken for a part of another file.
"""

import hashlib
import os
import secrets
from io import BufferedRandom
from pathlib import Path
from typing import Final, Self

import httpx2

from lowland.client import calls
from lowland.client.calls import Call
from lowland.errors import AnswerUnreadable, DownloadCorrupt
from lowland.spec.resource import Artifact, Job

try:
    import fcntl
except ModuleNotFoundError:  # Windows: nobody can tell whether somebody writes, so nothing is gone on with
    fcntl = None

_CHUNK_BYTES: Final = 1 << 20
_PARTIAL: Final = 206


def placed(path: str | Path, name: str) -> Path:
    """Where a file is to lie: at a path, or under its name in the folder that is there."""
    return Path(path) / name if Path(path).is_dir() else Path(path)


class Incoming:
    """A file being written. Use it as a context manager, which keeps what has arrived if it breaks off.

    Args:
        job: whose file it is.
        artifact: what the job says of it.
        target: where it is to lie.
    """

    def __init__(self, job: Job | str, artifact: Artifact, target: Path) -> None:
        self._job = job
        self._artifact = artifact
        self._target = target
        self._part, self._file, self._may_stay = _opened(target, artifact.sha256)
        self._digest = hashlib.sha256()
        while chunk := self._file.read(_CHUNK_BYTES):
            self._digest.update(chunk)
        self._furthest = self._file.tell()
        self._resumed = self._furthest > 0
        self.arrived = False
        """Whether it lies at its target."""

    @property
    def lacks(self) -> bool:
        """Whether something of it has yet to arrive."""
        return self._file.tell() < self._artifact.size_bytes

    def call(self) -> Call[None]:
        """Asks for what lacks."""
        artifact = self._artifact
        return calls.artifact(self._job, artifact.name, sha256=artifact.sha256, from_byte=self._file.tell())

    def begin(self, response: httpx2.Response) -> None:
        """Make ready for what the answer brings: what was asked for, or the whole again."""
        if response.status_code != _PARTIAL:
            self._start_over()
        elif not response.headers.get("content-range", "").startswith(f"bytes {self._file.tell()}-"):
            raise AnswerUnreadable(str(response.url), "it sends another range than was asked for")

    def write(self, chunk: bytes) -> bool:
        """Add what came next; says whether it goes beyond all that had arrived before."""
        self._file.write(chunk)
        self._digest.update(chunk)
        before, self._furthest = self._furthest, max(self._furthest, self._file.tell())
        return self._furthest > before

    def keep(self) -> None:
        """Put the file in its place, provided that it is the right one. One that began with an older part is fetched
        anew where it is not: `arrived` says.

        Raises:
            DownloadCorrupt: it is not.
        """
        received, expected = self._digest.hexdigest(), self._artifact.sha256
        if received == expected:
            self._file.flush()
            self._let_go()
            os.replace(self._part, self._target)
            self.arrived = True
        elif self._resumed:
            self._start_over()
        else:
            self._may_stay = False
            raise DownloadCorrupt(self._artifact.name, expected=expected, received=received)

    def _start_over(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._resumed = False

    def _let_go(self) -> None:
        """Where nothing is locked, what is open can be neither moved nor removed."""
        if fcntl is None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._let_go()
        if not self.arrived and not (self._may_stay and self._furthest):
            self._part.unlink(missing_ok=True)  # while it is locked: nobody else goes on with it
        self._file.close()


def _opened(target: Path, sha256: str) -> tuple[Path, BufferedRandom, bool]:
    """A part to write to, what of it has arrived before, and whether a later download may go on from it."""
    part = target.with_name(f".{target.name}.{sha256[:16]}.part")
    while fcntl is not None:
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody else fetches the same, or this file system has no locks
            file.close()
            break
        if _lies_at(part, file):
            return part, file, True
        file.close()  # somebody has just finished it
    own = part.with_name(f"{part.name}.{secrets.token_hex(4)}")
    return own, own.open("x+b"), False


def _lies_at(path: Path, file: BufferedRandom) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
