"""The checkpoints of one job in the store: which one to go on from, and when the others may go.

Only the one that the ledger knows counts. It is deleted once the ledger knows a later one, never before: while Redis is
away, an engine goes on writing checkpoints that do not count yet.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final

from ledger import Checkpoint, Lease
from ledger.store import run_folder
from worker.recording import Record

log: Final = logging.getLogger(__name__)


class Shelf:
    """The checkpoints of the job that is leased.

    Args:
        root: of the artifact store.
        lease: names the job, and the checkpoint that counts at its start.
    """

    def __init__(self, root: Path, lease: Lease) -> None:
        self._root = root
        self._lease = lease
        self._counting = lease.checkpoint

    def usable(self) -> Path | None:
        """The file to go on from: the one that counts, if it is there and is what was recorded.

        Raises:
            OSError: it is there and cannot be read at the moment.
        """
        if self._counting is None:
            return None
        path = self._path(self._counting)
        if path.exists():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found == self._counting.sha256:
                return path
        log.warning("checkpoint missing or damaged, job %s starts over: %s", self._lease.job_id, path)
        return None

    def recorded(self, record: Record) -> None:
        """Delete the checkpoint that counted before, now that the record has made another one count."""
        if record.checkpoint is None:
            return
        self.clear()
        self._counting = record.checkpoint

    def clear(self) -> None:
        """Delete the one that counted: a later one does, or nothing will go on from a job that succeeded."""
        if self._counting is None:
            return
        try:
            self._path(self._counting).unlink(missing_ok=True)
        except OSError as error:  # it takes room, and nothing else: the run goes on
            log.warning("checkpoint not deleted: %s", error)

    def _path(self, checkpoint: Checkpoint) -> Path:
        return run_folder(self._root, self._lease.job_id, checkpoint.token) / checkpoint.name
