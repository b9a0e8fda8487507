"""`lowland logs`: what a job's engine prints, or what happens to the job."""

from typing import Literal

import click

from lowland.cli.connecting import connected
from lowland.cli.printing import json_option, print_json_line, print_line


@click.command(
    epilog="""\b
Examples:
  lowland logs -f 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e
  lowland logs --source events 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e | jq -r .event"""
)
@click.argument("job_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, to the job's end.")
@click.option("--tail", type=click.IntRange(1, 10_000), metavar="N", help="The last N lines.  [default: 1000]")
@click.option(
    "--source",
    type=click.Choice(["engine", "events"]),
    default="engine",
    show_default=True,
    help="What the engine prints, or what has happened to the job, as JSON lines.",
)
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Of this attempt.  [default: the latest]")
@click.option("--run", type=click.IntRange(min=1), metavar="N", help="Of this run, as `lowland show` numbers them.")
@json_option
def logs(
    job_id: str,
    follow: bool,
    tail: int | None,
    source: Literal["engine", "events"],
    attempt: int | None,
    run: int | None,
    as_json: bool,
) -> None:
    """Print a job's log.

    With --json each line is a JSON string; events are JSON anyway. Without --follow a job that has not run yet
    has none.
    """
    with connected() as client:
        for line in client.logs(job_id, source=source, attempt=attempt, run=run, tail=tail, follow=follow):
            if as_json and source == "engine":
                print_json_line(line)
            else:
                print_line(line)
