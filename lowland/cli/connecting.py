"""The server that commands talk to: that of `--url`, or of LOWLAND_URL, or the one on this machine."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lowland.client import Client


@contextmanager
def connected() -> Generator["Client"]:
    """A client of the server that this command was told of."""
    from lowland.client import Client  # noqa: PLC0415  help needs none of it

    try:
        client = Client(click.get_current_context().find_root().params["url"])
    except ValueError as error:  # the URL or the key in the environment
        raise click.UsageError(str(error)) from error
    with client:
        yield client
