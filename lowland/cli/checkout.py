"""Where the server's rooms are: beside `lowland` in the checkout, and not in the wheel."""

import sys
from pathlib import Path

import lowland
from lowland.errors import LowlandError


class ServerMissing(LowlandError):
    """The server's rooms or packages are not here."""

    def __init__(self, module: str | None) -> None:
        super().__init__(
            f"the server is not installed here (no module {module}); clone Lowland's repository and run there "
            "`make setup`, or `pip install -c constraints.txt -e '.[server]'`"
        )


def find_the_server() -> None:
    """Make the server's rooms importable."""
    root = Path(lowland.__file__).resolve().parent.parent
    if (root / "stack" / "serve.py").is_file() and str(root) not in sys.path:
        sys.path.append(str(root))
