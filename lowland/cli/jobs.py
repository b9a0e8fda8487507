"""`lowland ls` and `lowland show`: jobs, many or one."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

import click

from lowland.cli import wording
from lowland.cli.connecting import connected
from lowland.cli.filters import filtered
from lowland.cli.printing import (
    STATUS_STYLES,
    Column,
    json_option,
    plain,
    print_fact,
    print_json,
    print_line,
    print_table,
    status_text,
)

if TYPE_CHECKING:
    from lowland.client import JobFilters
    from lowland.spec.resource import Job

_COLUMNS: Final = (
    Column(head="ID"),
    Column(head="STATUS"),
    Column(head="NAME", cut=8, drop=7),
    Column(head="DATASET", cut=8, drop=2),
    Column(head="MODEL", cut=8, drop=5),
    Column(head="VARIANT", drop=3),
    Column(head="DONE", right=True, drop=6),
    Column(head="BEST", right=True, drop=4),
    Column(head="AGE", right=True, drop=1),
)


@click.command(
    epilog="""\b
Examples:
  lowland ls --status running
  lowland ls --dataset kmnist --variant friendly --limit 20
  lowland ls --json | jq -r '.[] | "\\(.id) \\(.accuracy)"'"""
)
@filtered
@click.option(
    "--limit", type=click.IntRange(min=1), help="So many at most.  [default: 50 on a terminal, else all of them]"
)
@json_option
def ls(limit: int | None, as_json: bool, **filters: Unpack["JobFilters"]) -> None:
    """List jobs, newest first.

    DONE is the part of its steps that a job has taken, BEST the best value so far of the number that it is about: its
    accuracy on the validation part, say.
    """
    cut_at = None if limit or as_json or not sys.stdout.isatty() else 50
    with connected() as client:
        jobs = list(client.list(limit=limit or (cut_at and cut_at + 1), **filters))
    if as_json:
        print_json(jobs)
        return
    if not jobs:
        print_line("no jobs fit" if any(filters.values()) else "no jobs yet; see `lowland submit --help`", err=True)
        return
    print_table(_COLUMNS, [_row(job) for job in jobs[:cut_at]])
    if cut_at and len(jobs) > cut_at:
        print_line(f"the newest {cut_at}; --limit shows more", err=True)


@click.command(epilog="The lines under `spec` are what `lowland submit` takes.")
@click.argument("job_id", metavar="ID")
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show everything known about a job."""
    with connected() as client:
        job = client.get(job_id)
    if as_json:
        print_json(job)
        return
    for name, value in _facts(job):
        style = STATUS_STYLES.get(job.status) if name == "status" else None
        print_fact(name, value, indent=12, style=style)
    _print_runs(job)
    _print_artifacts(job)
    from lowland.cli.assignments import assignments_of  # noqa: PLC0415  takes long

    print_line("spec")
    for assignment in assignments_of(plain(job.spec)):
        print_line(f"  {assignment}")


def subject(job: "Job") -> tuple[str, str, str]:
    """What a job is about: its dataset or function, its model, its variant; as far as a newer server's can be read."""
    spec = plain(job.spec)
    if spec.get("dataset") is None:
        return str(spec.get("function") or wording.NONE), wording.NONE, _named(spec, "sam", by="variant")
    return _named(spec, "dataset"), _named(spec, "model"), _named(spec, "sam", by="variant")


def _named(spec: dict[str, Any], field: str, *, by: str = "name") -> str:
    value = spec.get(field)
    return str(cast("dict[str, Any]", value).get(by, wording.NONE)) if isinstance(value, dict) else wording.NONE


def _row(job: "Job") -> list[Any]:
    dataset, model, variant = subject(job)
    return [
        job.id,
        status_text(f"{job.status}"),
        str(plain(job.spec).get("name") or wording.NONE),
        dataset,
        model,
        variant,
        wording.percent(job.progress.fraction if job.progress else None),
        wording.number(job.objective.best if job.objective else None),
        wording.age(job.created_at),
    ]


def _facts(job: "Job") -> Iterator[tuple[str, str]]:
    spec = plain(job.spec)
    yield "id", job.id
    if spec.get("name"):
        yield "name", spec["name"]
    if spec.get("tags"):
        yield "tags", ", ".join(f"{name}:{value}" for name, value in spec["tags"].items())
    yield "status", f"{job.status}" + (f", {job.requested} requested" if job.requested else "")
    if job.queue:
        yield "queue", f"place {job.queue.position}: {job.queue.reason}"
    if job.progress:
        yield "progress", _progress(job)
    if job.objective:
        course = f"{wording.number(job.objective.value)}, best {wording.number(job.objective.best)}"
        yield "objective", f"{job.objective.name} {course}"
    if job.test_accuracy is not None:
        yield "test", f"accuracy {wording.number(job.test_accuracy)}"
    if job.stop_reason:
        yield "stopped by", job.stop_reason
    if job.error:
        yield "error", f"{job.error.title}: {job.error.detail}"
    for notice in job.notices:
        yield "notice", f"{notice.type}: {notice.detail}"
    yield "created", wording.moment(job.created_at)
    if job.started_at:
        yield "started", wording.moment(job.started_at)
    if job.finished_at:
        yield "finished", wording.moment(job.finished_at)
    if job.worker:
        yield "worker", f"{job.worker}, {job.device}"


def _progress(job: "Job") -> str:
    progress = job.progress
    assert progress is not None  # whoever calls has looked
    parts = [
        f"{wording.percent(progress.fraction)}, epoch {progress.epoch} of {progress.epochs}",
        f"step {progress.step} of {progress.steps}",
    ]
    if progress.samples_per_s is not None:
        parts.append(f"{progress.samples_per_s:.0f} samples/s")
    if progress.eta_s is not None:
        parts.append(f"{wording.span(progress.eta_s)} left")
    return ", ".join(parts)


def _print_runs(job: "Job") -> None:
    if not job.attempts:
        return
    print_line("runs")
    for run in job.attempts:
        took = wording.span((run.ended_at - run.started_at).total_seconds()) if run.ended_at else "under way"
        outcome = f", {run.outcome}" if run.outcome else ""
        print_line(f"  {run.run}  attempt {run.attempt} on {run.worker} {run.device}, {took}{outcome}")
        if run.detail and not (job.error and job.error.detail == run.detail):
            print_fact("", run.detail, indent=5)


def _print_artifacts(job: "Job") -> None:
    if not job.artifacts:
        return
    print_line("artifacts")
    width = max(len(artifact.name) for artifact in job.artifacts)
    for artifact in job.artifacts:
        print_line(f"  {artifact.name:{width}}  {wording.size(artifact.size_bytes):>8}")
