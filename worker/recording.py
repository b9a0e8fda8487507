"""What each report of an engine changes in its job's record."""

import json
from dataclasses import dataclass, field
from typing import Final

from ledger import Checkpoint, runs
from ledger.documents import ARTIFACT_FIELD, NOTICE_FIELD, StoredArtifact
from lowland.spec.reports import (
    Advanced,
    ArtifactWritten,
    CheckpointWritten,
    EpochEnded,
    Finished,
    Noticed,
    Report,
)

#: Checkpoints of a job that count: the latest, and the one before in case that turns out to be damaged.
CHECKPOINTS_KEPT: Final = 2
#: A record with so many fields is not put together with others.
MOST_FIELDS: Final = 50


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of the job's hash, and perhaps a point of its series."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    point: str = ""
    notice: str = ""
    """An event for its history."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Those that count from now on, where the record makes another one count."""

    def followed_by(self, other: "Record") -> "Record | None":
        """Both as one; None where they cannot be.

        What is written twice stays the same for a field, but not for a point or an event; and each checkpoint that
        counts no more is to be deleted.
        """
        if self.point or self.notice or self.checkpoints or len(self.fields) >= MOST_FIELDS:
            return None
        return Record(
            fields={**self.fields, **other.fields},
            point=other.point,
            notice=other.notice,
            checkpoints=other.checkpoints,
        )


class Recorder:
    """Turns the reports of one run into records.

    Args:
        token: of the run; says in whose folder its files lie.
        checkpoints: those that count at its start, the latest first.
    """

    def __init__(self, token: int, checkpoints: tuple[Checkpoint, ...] = ()) -> None:
        self._token = token
        self._checkpoints = checkpoints
        self._latest: dict[str, float] = {}
        self._notices = 0

    def record(self, report: Report) -> Record:
        """What the report changes."""
        match report:
            case Advanced():
                return Record({"progress": report.progress.model_dump_json()})
            case EpochEnded():
                epoch = {} if report.epoch is None else {"epoch": report.epoch}
                point = {**epoch, "step": report.step, **report.metrics}
                return Record(self._results(report), point=json.dumps(point))
            case Finished():
                ending = {"test_accuracy": _optional(report.test_accuracy), "stop_reason": report.stop_reason or ""}
                return Record({**ending, **self._results(report)})
            case CheckpointWritten():
                file = report.model_dump(include={"name", "size_bytes", "sha256", "step"})
                self._checkpoints = (Checkpoint(token=self._token, **file), *self._checkpoints)[:CHECKPOINTS_KEPT]
                return Record({"checkpoints": runs.write_checkpoints(self._checkpoints)}, checkpoints=self._checkpoints)
            case ArtifactWritten():
                stored = StoredArtifact(**report.model_dump(), token=self._token)
                return Record({ARTIFACT_FIELD + report.name: stored.model_dump_json()})
            case Noticed():
                self._notices += 1
                field = f"{NOTICE_FIELD}{self._token:06d}:{self._notices:06d}"
                notice = report.model_dump_json(include={"type", "detail"})
                return Record({field: notice}, notice=notice)
            case _:  # preparing, started and error change nothing but the lease
                return Record()

    def _results(self, report: EpochEnded | Finished) -> dict[str, str]:
        self._latest |= report.metrics
        return {
            "metrics": json.dumps(self._latest),
            "objective": report.objective.model_dump_json(),
            "accuracy": _optional(report.accuracy),
            "best_accuracy": _optional(report.best_accuracy),
        }


def _optional(value: float | None) -> str:
    return "" if value is None else repr(value)
