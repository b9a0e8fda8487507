"""A file that is arriving: it lies beside its target under another name until it is whole and verified."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Self

from lowland.errors import DownloadCorrupt


class Incoming:
    """A file being written. Leaving the context without `keep_if` leaves nothing behind."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("xb")
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Add what came next."""
        self._file.write(chunk)
        self._digest.update(chunk)

    def keep_if(self, *, name: str, sha256: str) -> None:
        """Put the file in its place, provided that it is the right one.

        Raises:
            DownloadCorrupt: it is not.
        """
        if (received := self._digest.hexdigest()) != sha256:
            raise DownloadCorrupt(name, expected=sha256, received=received)
        self._file.close()
        os.replace(self._part, self._target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)
