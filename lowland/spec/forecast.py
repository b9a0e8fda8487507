"""How long a job is likely to take, from finished ones that differ only in what does not change a step's time."""

from collections.abc import Iterable
from statistics import median
from typing import Any, Final

from lowland.spec.job import JobSpec
from lowland.spec.resource import Job

#: What two jobs may differ in, and still take as long for an epoch.
_FREE: Final = frozenset(
    [
        "version", "name", "tags", "epochs", "steps", "start", "schedule", "label_smoothing", "seed", "stop",
        "resources", "priority", "timeout_s", "stall_timeout_s", "max_attempts", "webhook",
    ]
)  # fmt: skip


def seconds_from(spec: JobSpec, finished: Iterable[Job]) -> tuple[float | None, int]:
    """Seconds the job is likely to take, and how many jobs say so; None where none does.

    Args:
        spec: of the job.
        finished: jobs that succeeded. Those that tell are like this one, went through in one run and to their end;
            their time counts per epoch, of functions per step.
    """
    rates = [
        (job.attempts[0].ended_at - job.attempts[0].started_at).total_seconds() / _length(job.spec)
        for job in finished
        if len(job.attempts) == 1 and job.attempts[0].ended_at is not None and job.stop_reason is None
        if _costs(job.spec) == _costs(spec)
    ]
    return (median(rates) * _length(spec) if rates else None), len(rates)


def _length(spec: JobSpec) -> int:
    return spec.epochs if spec.steps is None else spec.steps


def _costs(spec: JobSpec) -> dict[str, Any]:
    """What decides how long an epoch takes, or a step."""
    said = spec.model_dump(exclude=set(_FREE))
    said["sam"].pop("rho", None)
    said["optimizer"] = spec.optimizer.name
    variables = len(spec.start) if spec.start else None
    return {**said, "variables": variables, "device": spec.device_class, "world_size": spec.resources.world_size}
