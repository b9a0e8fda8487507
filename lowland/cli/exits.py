"""How a command ends: all exit codes, and the one line that a failure says."""

from enum import IntEnum
from typing import NoReturn

import click


class Exit(IntEnum):
    """What a command's end says to whoever started it."""

    DONE = 0
    """It did what it was asked to; for `serve`: it was stopped in order."""
    FAILED = 1
    """It could not, for a reason that lies elsewhere than in how it was called."""
    UNUSABLE = 2
    """Nothing was done: an option, the machine or the installation does not allow it."""
    INTERRUPTED = 130
    """Ctrl-C."""


def fail(error: Exception, code: Exit) -> NoReturn:
    """Say one line on standard error, and leave."""
    click.echo(f"lowland: {error}", err=True)
    raise SystemExit(code)
