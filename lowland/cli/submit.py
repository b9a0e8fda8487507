"""`lowland submit`: queue a job, or ask what would become of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lowland.cli import wording
from lowland.cli.connecting import IMPATIENT_S, PATIENT_S, connected
from lowland.cli.exits import Exit
from lowland.cli.printing import json_option, print_json, print_line

if TYPE_CHECKING:
    from lowland.client import Client
    from lowland.spec.resource import DryRun, Job


def _completed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """`dataset=kmn`. bash takes that for three words, of which the last is to be completed."""
    from lowland.cli.names import names_in  # noqa: PLC0415  takes long, and only completion needs it

    field, equals, begun = incomplete.partition("=")
    before = [*(ctx.params.get("given") or ()), *([field] if equals else [])]
    if equals and field:
        return [f"{field}={name}" for name in names_in(field) if name.startswith(begun)]
    if equals:  # of bash, with nothing behind it
        return names_in(before[-2]) if len(before) > 1 else []
    if before[-1:] == ["="] and len(before) > 1:
        return [name for name in names_in(before[-2]) if name.startswith(incomplete)]
    return []


@click.command(
    epilog="""\b
Examples:
  lowland submit dataset=kmnist model=cnn sam=friendly sam.rho=0.1
  lowland submit spec.json epochs=3 --watch
  lowland show ID --json | jq .spec | lowland submit - seed=1
  id=$(lowland submit dataset=digits --wait) && lowland download "$id" model.safetensors"""
)
@click.argument("given", nargs=-1, required=True, metavar="[SPEC.json | -] [KEY=VALUE]...", shell_complete=_completed)
@click.option("--dry-run", is_flag=True, help="Store nothing; say what would become of the job, and what is unusual.")
@click.option("--wait", is_flag=True, help="Wait for the job's end, silently.")
@click.option("--watch", is_flag=True, help="Watch the job until its end, as `lowland watch` does.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait or watch so long at most.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Submit once under this key: again within 24 hours it gives the same job.  [default: a new one]",
)
@json_option
def submit(
    given: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    watch: bool,
    timeout: float | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Queue a job, and print its id.

    The spec is a file, or - for standard input, or KEY=VALUE with dots in KEY for what lies deeper, or a file and
    what is to be different; later ones win. A VALUE that is JSON is read as such, any other is a string.

    With --wait or --watch the exit code is 0 if the job has succeeded, and 3 if it has failed or was cancelled.
    """
    if wait + watch + dry_run > 1:
        raise click.UsageError("give one of --dry-run, --wait and --watch")
    if timeout is not None and not (wait or watch):
        raise click.UsageError("--timeout is for --wait and --watch")
    spec = _spec(given)
    with connected(retry_s=PATIENT_S if wait else IMPATIENT_S) as client:
        if dry_run:
            _print_dry_run(client.dry_run(spec), as_json=as_json)
            return
        try:
            job = client.submit(spec, idempotency_key=idempotency_key)
        except ValueError as error:
            raise click.UsageError(str(error).replace("idempotency_key", "--idempotency-key")) from error
        if watch:
            from lowland.cli.watch import watched  # noqa: PLC0415  it imports this room's larger parts

            print_line(job.id, err=as_json)
            watched([job.id], timeout_s=timeout, as_json=as_json)
        elif wait:
            _wait(client, job, timeout_s=timeout, as_json=as_json)
        elif as_json:
            print_json(job)
        else:
            print_line(job.id)
            if sys.stdout.isatty():
                place = f", place {job.queue.position} in the queue" if job.queue else ""
                print_line(f"{job.status}{place}; `lowland watch {job.id}` shows how it goes", err=True)


def _wait(client: "Client", job: "Job", *, timeout_s: float | None, as_json: bool) -> None:
    if not as_json:
        print_line(job.id)
    ended = client.wait(job.id, timeout_s=timeout_s)
    if as_json:
        print_json(ended)
    elif ended.status != "succeeded":
        reason = f": {ended.error.detail}" if ended.error else ""
        print_line(f"lowland: job {ended.id} is {ended.status}{reason}", err=True)
    if ended.status != "succeeded":
        raise SystemExit(Exit.ENDED_BADLY)


def _spec(given: Sequence[str]) -> dict[str, Any]:
    from lowland.cli.assignments import ASSIGNMENT, assign, read_spec  # noqa: PLC0415  takes long
    from lowland.spec.strict_json import JsonMalformed  # noqa: PLC0415

    files = [text for text in given if not ASSIGNMENT.fullmatch(text)]
    if len(files) > 1:
        raise click.UsageError(f"give one file, not {', '.join(files)}; what is to be different is KEY=VALUE")
    try:
        spec = read_spec(_content(files[0]), what=_called(files[0])) if files else {}
        return assign(spec, [text for text in given if ASSIGNMENT.fullmatch(text)])
    except JsonMalformed as error:
        raise click.ClickException(str(error)) from error


def _called(file: str) -> str:
    return "standard input" if file == "-" else file


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise click.UsageError(f"{file} cannot be read: {reason}; give a file of JSON, -, or KEY=VALUE") from error


def _print_dry_run(dry: "DryRun", *, as_json: bool) -> None:
    if as_json:
        print_json(dry)
        return
    cost = dry.estimate
    took = f"about {wording.span(cost.seconds)}" if cost.seconds is not None else "not known"
    print_line(f"time        {took} ({cost.seconds_from})")
    if cost.parameters is not None:
        print_line(f"parameters  {cost.parameters:,}")
    if cost.total_bytes is not None:
        print_line(f"memory      {wording.size(cost.total_bytes)}, without the runtime itself")
    print_line(f"queue       place {dry.queue.position}: {dry.queue.reason}")
    for advice in dry.warnings:
        print_line(f"warning     {advice.detail}", style="yellow")
