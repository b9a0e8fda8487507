"""`lowland rebuild`: a lost ledger brought back from the artifact store."""

from pathlib import Path

import click

from lowland.cli.checkout import server_here
from lowland.cli.exits import Exit


@click.command()
@click.option(
    "--data-dir",
    default=Path("~/.local/share/lowland"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the server, as `lowland serve` was given it.",
)
@click.option(
    "--redis-url",
    envvar="LOWLAND_REDIS_URL",
    show_envvar=True,
    help="Redis or Valkey to bring the jobs back into.  [default: the data folder's, started for that]",
)
@click.option(
    "--artifact-dir",
    envvar="LOWLAND_ARTIFACT_DIR",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The artifact store.  [default: the data folder's]",
)
def rebuild(data_dir: Path, redis_url: str | None, artifact_dir: Path | None) -> None:
    """Bring finished jobs back when Redis has lost them.

    Reads the records in the artifact store. Jobs that Redis has stay as they are, so it may be run again. Records that
    are damaged are named, and the others brought back. Needs the server's rooms (a checkout with `make setup`).
    """
    with server_here():
        from stack.rebuild import Options, rebuild  # noqa: PLC0415  help needs none of it, and it may be missing

        done = rebuild(Options(data_dir=data_dir, redis_url=redis_url or None, artifact_dir=artifact_dir))
    for record in done.damaged:
        click.echo(f"lowland: {record.path} is damaged: {record.reason}", err=True)
    back, there, damaged = done.brought_back, done.there, len(done.damaged)
    click.echo(
        f"{back} {'job' if back == 1 else 'jobs'} brought back, {there} {'was' if there == 1 else 'were'} there, "
        f"{damaged} {'record' if damaged == 1 else 'records'} damaged"
    )
    if done.damaged:
        raise SystemExit(Exit.FAILED)
