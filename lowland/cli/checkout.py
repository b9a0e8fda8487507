"""Where the server's rooms are: beside `lowland` in the checkout, and not in the wheel."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import lowland
from lowland.cli.exits import Exit, fail
from lowland.errors import LowlandError


class ServerMissing(LowlandError):
    """The server's rooms or packages are not here."""

    def __init__(self, module: str | None) -> None:
        super().__init__(
            f"the server is not installed here (no module {module}); clone Lowland's repository and run there "
            "`make setup`, or `pip install -c constraints.txt -e '.[server]'`"
        )


@contextmanager
def server_here() -> Generator[None]:
    """Do what needs the server's rooms, which are to be imported inside."""
    find_the_server()
    try:
        from stack.errors import CannotServe  # noqa: PLC0415  it may be missing
    except ModuleNotFoundError as error:
        fail(ServerMissing(error.name), Exit.UNUSABLE)
    try:
        yield
    except ModuleNotFoundError as error:
        fail(ServerMissing(error.name), Exit.UNUSABLE)
    except CannotServe as error:
        fail(error, Exit.UNUSABLE)


def find_the_server() -> bool:
    """Make the server's rooms importable; says whether they are there."""
    root = Path(lowland.__file__).resolve().parent.parent
    there = (root / "stack" / "serve.py").is_file()
    if there and str(root) not in sys.path:
        sys.path.append(str(root))
    return there
