"""How a command ends: all exit codes, and the line that a failure says on standard error."""

import errno
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Final, NoReturn, Self

import click

from lowland.errors import KeyRefused, LowlandError, RequestFailed, ServerUnavailable, SpecInvalid, WaitTimedOut


class Exit(IntEnum):
    """What a command's end says to whoever started it."""

    meaning: str
    """For the reference."""

    def __new__(cls, code: int, meaning: str) -> Self:
        """A code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "It did what it was asked to; for `serve`: it was stopped in order."
    FAILED = 1, "It could not, for a reason that none of the other codes names."
    UNUSABLE = 2, "Nothing was done: an option, the spec, the machine or the installation does not allow it."
    ENDED_BADLY = 3, "The job that was waited for has failed or was cancelled."
    UNAVAILABLE = 4, "The server cannot be reached, or cannot work at the moment."
    NOT_FOUND = 5, "There is no such job, file, worker or name."
    NOT_ALLOWED = 6, "The server wants an API key, another one, or one that is good for more."
    REFUSED = 7, "The job's state does not allow it."
    LIMITED = 8, "Too many requests, or as many unfinished jobs as the owner may have; later it may go."
    TIMED_OUT = 124, "The time given with `--timeout` is over; the job goes on."
    INTERRUPTED = 130, "Ctrl-C. What runs on a server goes on."
    NOBODY_READS = 141, "Whoever read the output has stopped, as `| head` does."


#: What the status of a refused request means to whoever asked.
_BY_STATUS: Final[Mapping[int, Exit]] = {
    400: Exit.UNUSABLE,
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    404: Exit.NOT_FOUND,
    409: Exit.REFUSED,
    410: Exit.NOT_FOUND,
    413: Exit.UNUSABLE,
    422: Exit.UNUSABLE,
    429: Exit.LIMITED,
}


def code_of(error: Exception) -> Exit:
    """The exit code of a failure."""
    match error:
        case SpecInvalid():
            return Exit.UNUSABLE
        case RequestFailed():
            return _BY_STATUS.get(error.status, Exit.FAILED)
        case ServerUnavailable():
            return Exit.UNAVAILABLE
        case WaitTimedOut():
            return Exit.TIMED_OUT
        case _:
            return Exit.FAILED


def say(error: Exception) -> None:
    """Say one line on standard error, of a wrong spec one for each mistake."""
    from lowland.spec.show import escaped  # noqa: PLC0415  takes long, and only failures need it

    texts = [mistake.detail for mistake in error.errors] if isinstance(error, SpecInvalid) else [str(error)]
    # set by `submit`, whose answer may have got lost
    if isinstance(error, ServerUnavailable) and (key := error.idempotency_key):
        texts[0] += f"; submit it again with --idempotency-key {key} for no second job"
    if isinstance(error, KeyRefused):
        texts[0] += "; this command takes it from LOWLAND_API_KEY"
    for text in texts:
        click.echo(f"lowland: {escaped(text)}", err=True)


def fail(error: Exception, code: Exit) -> NoReturn:
    """Say what went wrong, and leave."""
    say(error)
    raise SystemExit(code)


@contextmanager
def translated() -> Generator[None]:
    """Turn what a command raises into its exit code. What is not expected stays as it is: a mistake of ours."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        raise SystemExit(Exit.UNUSABLE) from None
    except click.UsageError as error:
        fail(click.ClickException(f"{error.format_message().rstrip('.')}{_hint(error)}"), Exit.UNUSABLE)
    except click.ClickException as error:
        fail(click.ClickException(error.format_message()), Exit.UNUSABLE)
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(Exit.INTERRUPTED) from None
    except LowlandError as error:
        fail(error, code_of(error))
    except OSError as error:
        if error.errno == errno.EPIPE:
            _read_no_more()
        place = f"{error.filename}: " if error.filename else ""
        fail(LowlandError(f"{place}{(error.strerror or str(error)).lower()}"), Exit.FAILED)


def _hint(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption) and error.option_name == "--url":
        return "; it stands before the command: `lowland --url URL ls`"
    return f"; see `{error.ctx.command_path} --help`" if error.ctx else ""


def _read_no_more() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
    raise SystemExit(Exit.NOBODY_READS)
