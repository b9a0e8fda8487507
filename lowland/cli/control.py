"""`lowland cancel`, `pause`, `resume`, `retry` and `rm`: what is done to jobs that are there."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import click

from lowland.cli.connecting import connected
from lowland.cli.exits import Exit, code_of, say
from lowland.cli.filters import filtered
from lowland.cli.printing import json_option, print_json, print_line
from lowland.errors import RequestFailed

if TYPE_CHECKING:
    from lowland.client import JobFilters
    from lowland.spec.resource import Job


_ids = click.argument("job_ids", nargs=-1, required=True, metavar="ID...")


@click.command(
    epilog="""\b
Examples:
  lowland cancel 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e
  lowland cancel --dataset kmnist --status queued"""
)
@click.argument("job_ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "everything", is_flag=True, help="Every job that has not ended.")
@filtered
@json_option
def cancel(job_ids: tuple[str, ...], everything: bool, as_json: bool, **filters: Unpack["JobFilters"]) -> None:
    """Cancel jobs, by their ids or all that fit.

    What waits is cancelled at once, what runs soon. Cancelling again changes nothing.
    """
    if bool(job_ids) + everything + any(filters.values()) != 1:
        raise click.UsageError("give ids, or filters, or --all alone")
    with connected() as client:
        if job_ids:
            _on_each(job_ids, client.cancel, as_json=as_json)
            return
        done = client.cancel_all(everything=everything, **filters)
    if as_json:
        print_json(done)
    else:
        print_line(f"{done.cancelled} cancelled, {done.requested} running and asked to stop")


@click.command()
@_ids
@json_option
def pause(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Pause jobs, to be resumed later.

    What waits is paused at once, what runs once it has written a checkpoint. Pausing again changes nothing.
    """
    with connected() as client:
        _on_each(job_ids, client.pause, as_json=as_json)


@click.command()
@_ids
@json_option
def resume(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Queue paused jobs again, to go on from their checkpoints.

    Of a job that is still running it takes the wish to pause back.
    """
    with connected() as client:
        _on_each(job_ids, client.resume, as_json=as_json)


@click.command()
@_ids
@click.option("--from-checkpoint", is_flag=True, help="Go on from the latest checkpoint; else start over.")
@json_option
def retry(job_ids: tuple[str, ...], from_checkpoint: bool, as_json: bool) -> None:
    """Queue failed or cancelled jobs again.

    With as many attempts as they had at first.
    """
    with connected() as client:
        _on_each(job_ids, lambda job_id: client.retry(job_id, from_checkpoint=from_checkpoint), as_json=as_json)


@click.command()
@_ids
@click.option("--yes", is_flag=True, help="Do not ask; without a terminal nobody is asked.")
@json_option
def rm(job_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete jobs that have ended, with their files, for good.

    As JSON: a list of the ids of those that are deleted.
    """
    if not yes and sys.stdin.isatty():
        what = job_ids[0] if len(job_ids) == 1 else f"these {len(job_ids)} jobs"
        click.confirm(f"Delete {what} with all files, for good?", abort=True, err=True)
    deleted: list[str] = []
    with connected() as client:

        def delete(job_id: str) -> None:
            client.delete(job_id)
            deleted.append(job_id)
            if not as_json:
                print_line(f"{job_id} deleted")

        try:
            _each(job_ids, delete)
        finally:
            if as_json:
                print_json(deleted)


def _on_each(job_ids: Sequence[str], action: Callable[[str], "Job"], *, as_json: bool) -> None:
    jobs: list[Job] = []

    def act(job_id: str) -> None:
        job = action(job_id)
        jobs.append(job)
        if not as_json:
            print_line(f"{job.id} {job.status}" + (f", {job.requested} requested" if job.requested else ""))

    try:
        _each(job_ids, act)
    finally:
        if as_json:
            print_json(jobs)


def _each(job_ids: Sequence[str], action: Callable[[str], Any]) -> None:
    """Do it to each job. One that it cannot be done to is said and passed over; the first of them decides the end."""
    code = Exit.DONE
    for job_id in job_ids:
        try:
            action(job_id)
        except RequestFailed as error:
            say(error)
            code = code or code_of(error)
    if code:
        raise SystemExit(code)
