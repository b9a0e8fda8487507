"""The commands of the page about the command line print what it says, against a server that trains."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, blocks
from tests.stack.house import House, house

PAGE = DOCS / "how-to" / "use-the-command-line.md"
#: In order: later ones use what earlier ones have made.
CONSOLE = list(blocks(PAGE, "console"))
(SCRIPT,) = blocks(PAGE, "bash")

pytestmark = pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that keeps its data where the commands do not look for it."""
    with house(tmp_path_factory.mktemp("page") / "data", "--workers", "1") as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run."""
    return tmp_path_factory.mktemp("commands")


def run(running: House, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader would."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"LOWLAND_URL": running.url, "LOWLAND_REDIS_URL": running.redis_url, "PATH": path}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        env=os.environ | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.timeout(300)  # some 40 commands
def test_commands_print_what_stands_below_them(running: House, folder: Path) -> None:
    for block in CONSOLE:
        _check(block, running, folder)


def _check(block: Block, running: House, folder: Path) -> None:
    lines = block.text.splitlines(keepends=True)
    commands = "".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    said = "".join(line for line in lines if not line.startswith("$ "))

    ran = run(running, folder, commands)

    assert ran.returncode == 0, f"{block}: {ran.stderr}"
    pattern = re.escape(said).replace("01a20eac", "[0-9a-f]{8}").replace("…", ".*")
    assert re.fullmatch(pattern, ran.stdout, re.DOTALL), f"{block}: {ran.stdout}"


def test_the_script_runs_to_its_end_and_again(running: House, folder: Path) -> None:
    first = run(running, folder, SCRIPT.text)
    again = run(running, folder, SCRIPT.text)

    assert (first.returncode, first.stderr) == (0, "")
    assert (folder / "model.safetensors").is_file()
    assert again.stdout.splitlines()[-2].split()[0] == first.stdout.splitlines()[-2].split()[0]
