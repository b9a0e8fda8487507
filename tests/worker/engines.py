"""Programs in the engine's place: shell scripts that report, crash, hang, flood or talk nonsense."""

import hashlib
from pathlib import Path

from lowland.spec.reports import (
    Advanced,
    ArtifactWritten,
    Broken,
    CheckpointWritten,
    EpochEnded,
    Finished,
    Report,
    Started,
    write_report,
)
from lowland.spec.resource import Objective, Progress
from worker.engines import Start, Work, program_engine

OBJECTIVE = Objective(name="validation_accuracy", value=0.75, best=0.75, direction="maximize")

STARTED = Started(device="cpu", precision="fp32", parameters=10, training_samples=100, resumed_step=0)
ADVANCED = Advanced(
    progress=Progress(epoch=1, epochs=2, step=5, steps=10, fraction=0.5, eta_s=1.0, samples_per_s=100.0)
)
EPOCH = EpochEnded(epoch=1, step=5, metrics={"train_loss": 0.5}, objective=OBJECTIVE, accuracy=0.75, best_accuracy=0.75)
#: Of a file that holds 12345.
CHECKPOINT = CheckpointWritten(
    name="last.pt", size_bytes=5, sha256=hashlib.sha256(b"12345").hexdigest(), epoch=1, step=5
)
ARTIFACT = ArtifactWritten(name="model.safetensors", size_bytes=5, sha256="0" * 64, media_type="application/x-test")
FINISHED = Finished(
    objective=OBJECTIVE, accuracy=0.75, best_accuracy=0.75, test_accuracy=0.7, metrics={"test_loss": 0.6}
)
PERMANENT = Broken(type="dataset-unavailable", title="No data", detail="nowhere to be found", permanent=True)
PASSING = Broken(type="engine-error", title="An error", detail="perhaps next time", permanent=False)


def say(*reports: Report) -> str:
    """Shell commands that send these reports."""
    return "".join(f"printf '%s\\n' '{write_report(report).decode().strip()}' >&$REPORTS\n" for report in reports)


def shell_engine(script: str) -> Start:
    """An engine that is a shell script. `$REPORTS` is the report pipe, `$OUT` its folder, `$RESUME` its
    checkpoint, `$WEIGHTS` the file that `model.init_from` means."""

    def command(work: Work, report_fd: int) -> list[str]:
        names = {
            "REPORTS": report_fd,
            "OUT": work.folder,
            "RESUME": next(iter(work.resume), ""),
            "WEIGHTS": work.weights,
        }
        lines = "".join(f"{name}='{value or ''}'\n" for name, value in names.items())
        return ["bash", "-c", lines + script]

    return program_engine(command)


def read(path: Path) -> str:
    """The text of a file, empty while it is not there."""
    return path.read_text() if path.exists() else ""
