"""`lowland serve`: the whole server as one process tree."""

from pathlib import Path

import click

from lowland.cli.checkout import server_here
from lowland.cli.exits import Exit, fail
from lowland.cli.placing import data_dir_option, redis_url_option


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the API listens on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port the API listens on; 0 takes a free one.",
)
@data_dir_option(
    text="Folder of the server: queue, results, weights. Not where data sets lie: that is LOWLAND_DATA_DIR."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Jobs trained at once.  [default: one per GPU, or 1 without a GPU]",
)
@redis_url_option("Redis >= 6.2 or Valkey to use.  [default: one is started in the data folder]")
@click.option(
    "--allow-anonymous", is_flag=True, help="Listen where others can reach the server even if it has no API key."
)
def serve(
    host: str, port: int, data_dir: Path, workers: int | None, redis_url: str | None, allow_anonymous: bool
) -> None:
    """Run the server: API, keeper, worker, and Redis.

    Ctrl-C stops it within ten seconds; jobs that were running go on from their last checkpoint at the next start. A
    second Ctrl-C kills it. Needs the server's rooms (a checkout with `make setup`).
    """
    with server_here():
        from stack.errors import StoppedAtOnce  # noqa: PLC0415  help needs none of it, and it may be missing
        from stack.serve import Options, serve  # noqa: PLC0415

        options = Options(
            host=host,
            port=port,
            data_dir=data_dir,
            workers=workers,
            redis_url=redis_url or None,
            allow_anonymous=allow_anonymous,
        )
        try:
            serve(options)
        except StoppedAtOnce as error:
            fail(error, Exit.INTERRUPTED)
