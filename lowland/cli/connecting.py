"""The server that commands talk to: that of `--url`, or of LOWLAND_URL, or the one on this machine."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from lowland.client import Client


#: How long a server is waited for that cannot be reached: by somebody at a terminal, and by what waits for hours
#: anyway.
IMPATIENT_S: Final = 3.0
PATIENT_S: Final = 30.0


@contextmanager
def connected(*, retry_s: float = IMPATIENT_S) -> Generator["Client"]:
    """A client of the server that this command was told of."""
    from lowland.client import Client  # noqa: PLC0415  help needs none of it

    try:
        client = Client(click.get_current_context().find_root().params["url"], retry_s=retry_s)
    except ValueError as error:  # the URL or the key in the environment
        said = str(error).replace("base_url", "--url").replace("api_key", "LOWLAND_API_KEY")
        raise click.UsageError(said) from error
    with client:
        yield client
