"""`lowland metrics`: the series of a job."""

import csv
import sys
from typing import TYPE_CHECKING, Final

import click

from lowland.cli import wording
from lowland.cli.connecting import connected
from lowland.cli.printing import Column, json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from lowland.client import Curves

#: Points that a terminal shows unless told otherwise.
_ON_TERMINAL: Final = 20


@click.command(
    epilog="""\b
Examples:
  lowland metrics 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e --names train_loss,validation_accuracy
  lowland metrics 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e --csv > curves.csv"""
)
@click.argument("job_id", metavar="ID")
@click.option("--names", metavar="NAME,...", help="These series, with commas.  [default: all]")
@click.option(
    "--max-points",
    type=click.IntRange(min=2),
    metavar="N",
    help="Thin them out evenly to so many.  [default: 20 as a table on a terminal, else all]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: step, epoch, time and a column for each series.")
@json_option
def metrics(job_id: str, names: str | None, max_points: int | None, as_csv: bool, as_json: bool) -> None:
    """Print what was measured in the course of a job.

    As JSON: the lists `steps`, `epochs` and `at`, and in `values` one for each series, with null where it was not
    measured.
    """
    if as_csv and as_json:
        raise click.UsageError("give one of --csv and --json")
    on_terminal = sys.stdout.isatty() and not as_csv and not as_json
    chosen = [name.strip() for name in names.split(",") if name.strip()] if names else []
    with connected() as client:
        curves = client.metrics(job_id, names=chosen, max_points=max_points or (_ON_TERMINAL if on_terminal else None))
    if as_json:
        print_json(
            {
                "steps": list(curves.steps),
                "epochs": list(curves.epochs),
                "at": [at.isoformat().replace("+00:00", "Z") for at in curves.at],
                "values": {name: list(values) for name, values in curves.values.items()},
            }
        )
    elif as_csv:
        _print_csv(curves)
    elif not curves.steps:
        print_line(f"nothing was measured yet of job {job_id}", err=True)
    else:
        _print_table(curves)


def _print_csv(curves: "Curves") -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["step", "epoch", "at", *curves.values])
    for index, (step, epoch, at) in enumerate(zip(curves.steps, curves.epochs, curves.at, strict=True)):
        writer.writerow(
            [step, epoch, at.isoformat().replace("+00:00", "Z"), *(column[index] for column in curves.values.values())]
        )


def _print_table(curves: "Curves") -> None:
    """Series that are further to the right go first where the terminal is narrow."""
    columns = [Column(head="STEP", right=True), Column(head="EPOCH", right=True)]
    columns += [Column(head=name, right=True, drop=index) for index, name in enumerate(curves.values)]
    rows = [
        [
            str(step),
            wording.NONE if epoch is None else str(epoch),
            *(wording.number(values[index]) for values in curves.values.values()),
        ]
        for index, (step, epoch) in enumerate(zip(curves.steps, curves.epochs, strict=True))
    ]
    shown = print_table(columns, rows)
    if shown < len(columns):
        left_out = ", ".join(column.head for column in columns[shown:])
        print_line(f"not shown for want of width: {left_out}; choose with --names", err=True)
