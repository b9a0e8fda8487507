"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is one file that `torch.load(weights_only=True)` reads:

    format      FORMAT
    spec        what decides the weights, as in the job spec
    versions    of torch
    model       state_dict
    optimizer   state_dict of the SAM optimizer, its base optimizer's included
    state       step, epochs, sums of the epoch under way, history, selected weights

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
from lowland.spec.reports import CheckpointWritten
from worker.engine.errors import CheckpointUnreadable, CheckpointUnusable
from worker.engine.files import write_file
from worker.engine.reporting import Reporter

FORMAT: Final = 1
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

    def __init__(self, folder: Path, spec: JobSpec, reporter: Reporter, *, keep_all: bool) -> None:
        self._folder = folder
        self._spec = spec
        self._reporter = reporter
        self._keep_all = keep_all
        self._names: list[str] = []
        self._written_at = time.monotonic()

    def due_at_epoch(self, epochs_ended: int) -> bool:
        """Whether the epoch that has just ended wants one."""
        return epochs_ended % self._spec.checkpoint_every_epochs == 0 or self.due_by_time()

    def due_by_time(self) -> bool:
        """Whether the last one is too long ago."""
        every_s = self._spec.checkpoint_every_s
        return every_s is not None and time.monotonic() - self._written_at >= every_s

    def write(
        self,
        *,
        step: int,
        epochs_ended: int,
        model: Mapping[str, Any],
        optimizer: Mapping[str, Any],
        state: Mapping[str, Any],
    ) -> None:
        """Write one, report it, delete what is no longer kept. One that lies there already is left alone."""
        name = f"checkpoint-{epochs_ended:05d}-{step:09d}.pt"
        if name in self._names:
            return
        contents = {
            "format": FORMAT,
            "spec": _identity(self._spec),
            "versions": {"torch": str(torch.__version__)},
            "model": model,
            "optimizer": optimizer,
            "state": state,
        }
        written = write_file(self._folder / name, lambda file: torch.save(contents, file))
        self._written_at = time.monotonic()
        self._reporter.send(
            CheckpointWritten(
                name=name, size_bytes=written.size_bytes, sha256=written.sha256, epoch=epochs_ended, step=step
            )
        )
        self._names.append(name)
        while len(self._names) > KEPT and not self._keep_all:
            (self._folder / self._names.pop(0)).unlink(missing_ok=True)


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
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise CheckpointUnusable(path, f"is damaged or incomplete ({error})") from error
    if damaged is not None:
        raise CheckpointUnusable(path, f"is damaged ({damaged} does not match its checksum)")
    try:
        contents = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    # What torch raises for an archive that is none of its own is not documented; it is never the job's fault.
    except Exception as error:
        raise CheckpointUnusable(path, f"is no checkpoint ({type(error).__name__}: {error})") from error
    if not isinstance(contents, dict):
        raise CheckpointUnusable(path, f"is no checkpoint (it holds a {type(contents).__name__})")
    return contents


def _identity(spec: JobSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude=set(_FREE))
