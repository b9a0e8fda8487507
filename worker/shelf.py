"""The checkpoints of one job in the store: which ones to go on from, and when the others may go.

Only those that the ledger knows count: the latest and the one before. One is deleted once the ledger knows two later
ones, never before: while Redis is away, an engine goes on writing checkpoints that do not count yet.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ledger import Checkpoint, Lease
from ledger.store import run_folder
from lowland.spec.reports import Noticed
from worker.recording import Record

log: Final = logging.getLogger(__name__)

#: Read at once.
_PIECE_BYTES: Final = 4 * 2**20


class Shelf:
    """The checkpoints of the job that is leased.

    Args:
        root: of the artifact store.
        lease: names the job, and the checkpoints that count at its start.
    """

    def __init__(self, root: Path, lease: Lease) -> None:
        self._root = root
        self._lease = lease
        self._counting = lease.checkpoints

    def look(self, meanwhile: Callable[[], object] = lambda: None) -> list[Noticed]:
        """Count from now on none that is missing or not what was recorded; of each such checkpoint, a notice.

        Those before one that is whole are not looked at.

        Args:
            meanwhile: called again and again while a file is read.

        Raises:
            OSError: one is there and cannot be read at the moment.
        """
        problems: dict[Checkpoint, str] = {}
        for one in self._counting:
            if (problem := _problem(self._path(one), one, meanwhile)) is None:
                break
            problems[one] = problem
        self._counting = tuple(one for one in self._counting if one not in problems)
        follows = "the one before is used" if self._counting else "the job starts over"
        for checkpoint, problem in problems.items():
            log.warning("checkpoint %s, job %s: %s", problem, self._lease.job_id, self._path(checkpoint))
        return [
            Noticed(type="checkpoint-damaged", detail=f"{one.name} of step {one.step} {problem}; {follows}")
            for one, problem in problems.items()
        ]

    @property
    def counting(self) -> tuple[Checkpoint, ...]:
        """The checkpoints that count, the latest first."""
        return self._counting

    @property
    def files(self) -> list[Path]:
        """Theirs."""
        return [self._path(one) for one in self._counting]

    def recorded(self, record: Record) -> None:
        """Delete the checkpoints that no longer count, now that the record has made another one count."""
        if record.checkpoints:
            self._delete([one for one in self._counting if one not in record.checkpoints])
            self._counting = record.checkpoints

    def clear(self) -> None:
        """Delete all that count: nothing will go on from a job that succeeded."""
        self._delete(self._counting)

    def _delete(self, checkpoints: Iterable[Checkpoint]) -> None:
        for checkpoint in checkpoints:
            try:
                self._path(checkpoint).unlink(missing_ok=True)
            except OSError as error:  # it takes room, and nothing else: the run goes on
                log.warning("checkpoint not deleted: %s", error)

    def _path(self, checkpoint: Checkpoint) -> Path:
        return run_folder(self._root, self._lease.job_id, checkpoint.token) / checkpoint.name


def _problem(path: Path, checkpoint: Checkpoint, meanwhile: Callable[[], object]) -> str | None:
    if not path.exists():
        return "is missing"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            meanwhile()
    return None if digest.hexdigest() == checkpoint.sha256 else "is damaged"
