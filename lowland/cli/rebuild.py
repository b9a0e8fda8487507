"""`lowland rebuild`: a lost ledger brought back from the artifact store."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lowland.cli.checkout import server_here
from lowland.cli.exits import Exit
from lowland.cli.placing import data_dir_option, redis_url_option
from lowland.cli.printing import json_option, print_json, print_line

if TYPE_CHECKING:
    from ledger.rebuilding import Rebuilt


@click.command()
@data_dir_option()
@redis_url_option("Redis or Valkey to bring the jobs back into.  [default: the data folder's, started for that]")
@click.option(
    "--artifact-dir",
    envvar="LOWLAND_ARTIFACT_DIR",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The artifact store.  [default: the data folder's]",
)
@json_option
def rebuild(data_dir: Path, redis_url: str | None, artifact_dir: Path | None, as_json: bool) -> None:
    """Bring finished jobs back when Redis has lost them.

    Reads the records in the artifact store. Jobs that Redis has stay as they are, so it may be run again. Records that
    are damaged are named, and the others brought back. Needs the server's rooms (a checkout with `make setup`).
    """
    with server_here():
        from stack.rebuild import Options, rebuild  # noqa: PLC0415  help needs none of it, and it may be missing

        done = rebuild(Options(data_dir=data_dir, redis_url=redis_url or None, artifact_dir=artifact_dir))
    if as_json:
        damaged = [{"path": str(record.path), "reason": record.reason} for record in done.damaged]
        print_json({"brought_back": done.brought_back, "there": done.there, "damaged": damaged})
    else:
        _print(done)
    if done.damaged:
        raise SystemExit(Exit.FAILED)


def _print(done: "Rebuilt") -> None:
    for record in done.damaged:
        print_line(f"lowland: {record.path} is damaged: {record.reason}", err=True)
    back, there, damaged = done.brought_back, done.there, len(done.damaged)
    print_line(
        f"{back} {'job' if back == 1 else 'jobs'} brought back, {there} {'was' if there == 1 else 'were'} there, "
        f"{damaged} {'record' if damaged == 1 else 'records'} damaged"
    )
