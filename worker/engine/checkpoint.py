"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is one file that `torch.load(weights_only=True)` reads:

    format      FORMAT
    spec        what decides the weights, as in the job spec
    versions    of torch and of the libraries that compute
    ...         what the task keeps: see `resuming.py`

Each has a name of its own, so that a later one never overwrites one that somebody has been told of. Whoever keeps
records of them deletes them too; without anybody the last two are kept.
"""

import io
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from lowland.spec.job import JobSpec
from lowland.spec.reports import CheckpointWritten, Noticed
from worker.engine.artifacts import library_versions
from worker.engine.errors import CheckpointDamaged, CheckpointUnreadable, CheckpointUnusable
from worker.engine.files import write_file
from worker.engine.session import Session

FORMAT: Final = 2
KEPT: Final = 2

#: Fields of a spec that may change between stopping and going on: they do not decide what the weights become.
_FREE: Final = frozenset(
    {
        "name", "tags", "resources", "priority", "timeout_s", "stall_timeout_s", "max_attempts", "webhook",
        "checkpoint_every_epochs", "checkpoint_every_s", "evaluate", "sharpness",
    }
)  # fmt: skip


class Checkpoints:
    """Writes a run's checkpoints into its folder, when they are due."""

    def __init__(self, session: Session, spec: JobSpec) -> None:
        self._folder = session.out
        self._reporter = session.reporter
        self._keep_all = session.keep_all
        self._spec = spec
        self._names: list[str] = []
        self._resumed_from: str | None = None
        self._written_at = time.monotonic()

    @property
    def last_name(self) -> str | None:
        """The latest one, which may be that which the run goes on from; None where there is none."""
        return self._names[-1] if self._names else self._resumed_from

    def resumed_from(self, path: Path) -> None:
        """Note what the run goes on from."""
        self._resumed_from = path.name

    def has(self, *, step: int, epochs_ended: int) -> bool:
        """Whether this run has written one at that point."""
        return _name(step, epochs_ended) in self._names

    def due_at_epoch(self, epochs_ended: int) -> bool:
        """Whether the epoch that has just ended wants one."""
        return epochs_ended % self._spec.checkpoint_every_epochs == 0

    def due_by_time(self) -> bool:
        """Whether the last one is too long ago."""
        every_s = self._spec.checkpoint_every_s
        return every_s is not None and time.monotonic() - self._written_at >= every_s

    def left_to_another(self, *, step: int, epochs_ended: int) -> None:
        """Note that another rank writes one at this point."""
        self._names.append(_name(step, epochs_ended))
        self._written_at = time.monotonic()

    def write(self, *, step: int, epochs_ended: int, contents: Mapping[str, Any]) -> None:
        """Write one, report it, delete what is no longer kept."""
        name = _name(step, epochs_ended)
        everything = {
            "format": FORMAT,
            "spec": _identity(self._spec),
            "versions": library_versions(),
            **contents,
        }
        written = write_file(self._folder / name, lambda file: torch.save(everything, file))
        self._written_at = time.monotonic()
        self._reporter.send(
            CheckpointWritten(
                name=name, size_bytes=written.size_bytes, sha256=written.sha256, epoch=epochs_ended, step=step
            )
        )
        self._names.append(name)
        while len(self._names) > KEPT and not self._keep_all:
            (self._folder / self._names.pop(0)).unlink(missing_ok=True)


def first_usable(session: Session, spec: JobSpec) -> tuple[Path, Mapping[str, Any]]:
    """Read the session's checkpoints, the latest first, until one is whole; what was passed over is reported.

    Raises:
        CheckpointUnreadable: the last file is not there, or the disk does not give it.
        CheckpointUnusable: the last is damaged, or one is of another format or of another job.
    """
    *earlier, last = session.resume
    for path in earlier:
        try:
            return path, read_checkpoint(path, spec)
        except (CheckpointDamaged, CheckpointUnreadable) as error:
            session.reporter.send(Noticed(type="checkpoint-damaged", detail=f"{error}; the one before is used"))
    return last, read_checkpoint(last, spec)


def _name(step: int, epochs_ended: int) -> str:
    return f"checkpoint-{epochs_ended:05d}-{step:09d}.pt"


def read_checkpoint(path: Path, spec: JobSpec) -> Mapping[str, Any]:
    """Read a checkpoint of this very job.

    Raises:
        CheckpointUnreadable: the file is not there, or the disk does not give it.
        CheckpointUnusable: it is damaged, of another format or of another job.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointUnreadable(path, error) from error
    contents = _decoded(path, raw)
    if contents.get("format") != FORMAT:
        raise CheckpointUnusable(path, f"has format {contents.get('format')!r}; this engine reads {FORMAT}")
    expected = _identity(spec)
    if different := sorted(
        field for field in expected.keys() | contents["spec"].keys()
        if expected.get(field) != contents["spec"].get(field)
    ):  # fmt: skip
        raise CheckpointUnusable(
            path,
            f"belongs to another job: {', '.join(different)} differ; start without it, or give its own spec",
        )
    return contents


def _decoded(path: Path, raw: bytes) -> Mapping[str, Any]:
    """torch.load trusts the bytes it reads, so the archive's own checksums are checked first."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            damaged = archive.testzip()
    # What a wrong bit makes zipfile raise is anything: zlib's errors, of Unicode, of seeking.
    except Exception as error:
        raise CheckpointDamaged(path, f"is damaged or incomplete ({error})") from error
    if damaged is not None:
        raise CheckpointDamaged(path, f"is damaged ({damaged} does not match its checksum)")
    try:
        contents = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    # What torch raises for an archive that is none of its own is not documented; it is never the job's fault.
    except Exception as error:
        raise CheckpointDamaged(path, f"is damaged, or no checkpoint ({type(error).__name__}: {error})") from error
    if not isinstance(contents, dict):
        raise CheckpointDamaged(path, f"is damaged, or no checkpoint (it holds a {type(contents).__name__})")
    return contents


def _identity(spec: JobSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude=set(_FREE))
