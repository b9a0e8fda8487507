"""What `lowland` says of itself and of `serve`."""

import subprocess

import lowland
from tests.stack.house import LOWLAND


def test_the_version_is_that_of_the_package() -> None:
    assert _lowland("--version") == f"lowland, version {lowland.__version__}\n"


def test_help_of_serve_keeps_the_two_data_folders_apart() -> None:
    told = " ".join(_lowland("serve", "--help").split())

    assert "Not where data sets lie: that is LOWLAND_DATA_DIR." in told


def _lowland(*arguments: str) -> str:
    return subprocess.run([LOWLAND, *arguments], capture_output=True, text=True, check=True).stdout
