"""What an engine tells its runner: one JSON object a line, and an exit status. They meet here and nowhere else.

    preparing*, started, (progress | epoch | checkpoint | artifact | notice)*, result
                        exit 0: succeeded
    ... checkpoint      exit EXIT_STOPPED: stopped on request (SIGTERM)
    ... error           exit 1: the error says whether to try again

Files a report names lie in the run's folder; they exist for others only once the report that names them is recorded.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from lowland.spec.base import SpecModel
from lowland.spec.resource import Objective, Progress
from lowland.spec.states import StopReason

#: The engine's exit status after SIGTERM: it has written a checkpoint and can be continued (EX_TEMPFAIL of sysexits.h).
EXIT_STOPPED: Final = 75
#: The longest line a runner accepts, in bytes.
MAX_LINE_BYTES: Final = 64 * 1024

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: What an engine may be busy with before it starts: decoding a part's images, reading files for their checksums.
Preparation = Literal["decoding", "checksums"]
Accuracy = Annotated[float, Field(ge=0, le=1)]


class Preparing(SpecModel):
    """The engine reads its data for the first time, which may take long; sent at most once a second."""

    report: Literal["preparing"] = "preparing"
    work: Preparation
    done: int
    """Images or files, so far."""
    of: int
    """How many there are."""


class Started(SpecModel):
    """The engine has read its spec, its data and perhaps its checkpoint, and begins to train."""

    report: Literal["started"] = "started"
    device: str
    """The torch device: "cpu", "cuda:0"."""
    precision: Literal["fp64", "fp32", "bf16", "fp16"]
    """What "auto" came to; a function is computed in fp64."""
    parameters: int
    """Trainable numbers in the model."""
    training_samples: int
    resumed_step: int
    """The step it goes on from; 0 from the start."""


class Advanced(SpecModel):
    """Steps were taken; sent at most a few times a second."""

    report: Literal["progress"] = "progress"
    progress: Progress


class EpochEnded(SpecModel):
    """An epoch was trained and evaluated; of a function, that has none, some steps were taken."""

    report: Literal["epoch"] = "epoch"
    epoch: int | None
    """From 1; None for a function."""
    step: int
    metrics: dict[str, float]
    """One value of each series."""
    objective: Objective
    accuracy: Accuracy | None
    """On the validation part, where there is one."""
    best_accuracy: Accuracy | None


class CheckpointWritten(SpecModel):
    """A checkpoint lies complete on disk; the next attempt may start from it."""

    report: Literal["checkpoint"] = "checkpoint"
    name: FileName
    size_bytes: int
    sha256: Sha256
    epoch: int
    step: int


class ArtifactWritten(SpecModel):
    """A file that belongs to the job's result lies complete on disk."""

    report: Literal["artifact"] = "artifact"
    name: FileName
    size_bytes: int
    sha256: Sha256
    media_type: str


class Noticed(SpecModel):
    """Something happened that whoever looks at the job should know of; the run goes on."""

    report: Literal["notice"] = "notice"
    type: str
    """A stable word, such as "checkpoint-damaged"."""
    detail: str


class Finished(SpecModel):
    """The run is complete; everything is of the selected weights."""

    report: Literal["result"] = "result"
    objective: Objective
    accuracy: Accuracy | None
    best_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    metrics: dict[str, float]
    """Final values, such as test_loss."""
    stop_reason: StopReason | None = None
    """Which stop rule ended the run; None where it went to its end."""


class Broken(SpecModel):
    """The engine gives up."""

    report: Literal["error"] = "error"
    type: str
    """A stable word, such as "dataset-unavailable"."""
    title: str
    detail: str
    permanent: bool
    """Whether another attempt would fail the same way."""


Report = Annotated[
    Preparing | Started | Advanced | EpochEnded | CheckpointWritten | ArtifactWritten | Noticed | Finished | Broken,
    Field(discriminator="report"),
]

_REPORT: Final[TypeAdapter[Report]] = TypeAdapter(Report)


def read_report(line: bytes) -> Report:
    """Read one line.

    Raises:
        pydantic.ValidationError: it is no report.
    """
    return _REPORT.validate_json(line)


def write_report(report: Report) -> bytes:
    """Write one line, its end included."""
    return report.model_dump_json().encode() + b"\n"
