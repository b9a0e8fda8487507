"""What each report of an engine changes in its job's record."""

import json
from dataclasses import dataclass, field

from ledger import Checkpoint
from ledger.documents import ARTIFACT_FIELD, StoredArtifact
from lowland.spec.reports import (
    Advanced,
    ArtifactWritten,
    CheckpointWritten,
    EpochEnded,
    Finished,
    Report,
)


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of the job's hash, and perhaps a point of its series."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    point: str = ""
    checkpoint: Checkpoint | None = None
    """Set where the record makes one count."""


class Recorder:
    """Turns the reports of one run into records.

    Args:
        token: of the run; says in whose folder its files lie.
    """

    def __init__(self, token: int) -> None:
        self._token = token
        self._latest: dict[str, float] = {}

    def record(self, report: Report) -> Record:
        """What the report changes."""
        match report:
            case Advanced():
                return Record({"progress": report.progress.model_dump_json()})
            case EpochEnded():
                point = {"epoch": report.epoch, "step": report.step, **report.metrics}
                return Record(self._results(report), json.dumps(point))
            case Finished():
                return Record({"test_accuracy": _optional(report.test_accuracy), **self._results(report)})
            case CheckpointWritten():
                file = report.model_dump(include={"name", "size_bytes", "sha256", "step"})
                checkpoint = Checkpoint(token=self._token, **file)
                return Record({"checkpoint": checkpoint.to_json()}, checkpoint=checkpoint)
            case ArtifactWritten():
                stored = StoredArtifact(**report.model_dump(), token=self._token)
                return Record({ARTIFACT_FIELD + report.name: stored.model_dump_json()})
            case _:  # started and error change nothing but the lease
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
