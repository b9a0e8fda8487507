"""The command line as a whole: help, version, and what they do not need."""

import subprocess
import sys

import lowland
from tests.stack.house import LOWLAND

#: What the wheel does without, or what takes long to import.
HEAVY = {"celery", "fastapi", "httpx2", "ledger", "numpy", "pydantic", "redis", "rich", "stack", "torch"}


def test_the_version_is_that_of_the_package() -> None:
    assert _lowland("--version") == f"lowland, version {lowland.__version__}\n"


def test_help_names_every_command() -> None:
    told = _lowland("--help")

    assert "serve    Run the server" in told
    assert "keys     Make, list and revoke API keys" in told
    assert "rebuild  Bring finished jobs back" in told


def test_help_of_serve_keeps_the_two_data_folders_apart() -> None:
    told = " ".join(_lowland("serve", "--help").split())

    assert "Not where data sets lie: that is LOWLAND_DATA_DIR." in told


def test_nothing_heavy_is_imported_for_help() -> None:
    program = "import sys, lowland.cli; print(*{name.partition('.')[0] for name in sys.modules})"

    imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert HEAVY & set(imported) == set()


def _lowland(*arguments: str) -> str:
    return subprocess.run([LOWLAND, *arguments], capture_output=True, text=True, check=True).stdout
