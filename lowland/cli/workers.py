"""`lowland workers`: the machines that train, and having one stop."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from lowland.cli import wording
from lowland.cli.connecting import connected
from lowland.cli.printing import Column, json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from lowland.spec.resource import Worker

_COLUMNS: Final = (
    Column(head="WORKER", cut=8),
    Column(head="STATE"),
    Column(head="DEVICE"),
    Column(head="MODEL", cut=8, drop=2),
    Column(head="MEMORY", right=True, drop=1),
    Column(head="JOB"),
    Column(head="LABELS", cut=8, drop=3),
)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def workers(ctx: click.Context, as_json: bool) -> None:
    """List the machines that train, a line for each device. For admins, where the server wants keys."""
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError(f"--json stands behind {ctx.invoked_subcommand}")
        return
    with connected() as client:
        listed = list(client.workers())
    if as_json:
        print_json(listed)
    elif not listed:
        print_line("no workers; jobs wait until one starts", err=True)
    else:
        print_table(_COLUMNS, [row for worker in listed for row in _rows(worker)])


@workers.command()
@click.argument("worker_id", metavar="WORKER")
@json_option
def drain(worker_id: str, as_json: bool) -> None:
    """Have a worker stop: its engines write checkpoints, and their jobs are queued again for others."""
    with connected() as client:
        worker = client.drain(worker_id)
    if as_json:
        print_json(worker)
    else:
        print_line(f"{worker.id} takes no more jobs, and stops")


def _rows(worker: "Worker") -> Iterator[list[Any]]:
    state = "draining" if worker.draining else "alive" if worker.alive else "silent"
    for device in worker.devices:
        yield [
            worker.id,
            state,
            device.name,
            device.model,
            wording.size(device.memory_gb * 1e9) if device.memory_gb else wording.NONE,
            device.job or "free",
            ",".join(worker.labels) or wording.NONE,
        ]
