"""The command line as a process, in a pipe or on a terminal of a given width."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from lowland.cli.exits import Exit
from tests.stack.house import LOWLAND
from tests.waiting import until

#: What has a terminal move, colour or clear.
_STEERING: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_END_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs commands against one server."""

    url: str
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, *arguments: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in pipes."""
        return subprocess.run(
            [LOWLAND, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=_END_S,
            env=self._environment(variables),
        )

    def unread(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command whose output nobody reads any more."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            return self._run([LOWLAND, *arguments], stdout=writing)
        finally:
            os.close(writing)

    def without_output(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command whose standard output is closed."""
        return self._run(["bash", "-c", 'exec "$@" >&-', "bash", LOWLAND, *arguments], stdout=subprocess.DEVNULL)

    def _run(self, command: Sequence[str], *, stdout: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=_END_S,
            env=self._environment({}),
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command in pipes that is expected to go on."""
        process = subprocess.Popen(
            [LOWLAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment({}),
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def terminal(self, *arguments: str, width: int = 80, **variables: str) -> Iterator["Terminal"]:
        """Start a command on a terminal."""
        process_id, descriptor = pty.fork()
        if process_id == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
            environment = self._environment({"TERM": "xterm-256color", **variables})
            environment.pop("COLUMNS", None)
            os.execve(LOWLAND, [LOWLAND, *arguments], environment)
        running = Terminal(process_id, descriptor)
        try:
            yield running
        finally:
            running.end()

    def on_terminal(self, *arguments: str, width: int = 80, **variables: str) -> "Terminal":
        """Run a command on a terminal to its end."""
        with self.terminal(*arguments, width=width, **variables) as running:
            running.wait()
            return running

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        return os.environ | {"LOWLAND_URL": self.url} | self.variables | variables


class Terminal:
    """A command on a terminal, and what it has written there."""

    def __init__(self, process_id: int, descriptor: int) -> None:
        self._process_id = process_id
        self._descriptor = descriptor
        self.raw = ""
        self.code: int | None = None
        os.set_blocking(descriptor, False)

    @property
    def text(self) -> str:
        """What it has written, without what steers the terminal."""
        return _STEERING.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        """The lines of it."""
        return self.text.splitlines()

    @property
    def frame(self) -> list[str]:
        """The lines of what it has drawn last, where it draws over what it has drawn."""
        return _STEERING.sub("", self.raw.rpartition("\x1b[2K")[2]).splitlines()

    def shows(self, text: str) -> None:
        """Wait until it has written this."""
        until(lambda: self._read() or text in self.text, f"the terminal shows {text!r}", seconds=_END_S)

    def types(self, text: str) -> None:
        """Type this."""
        os.write(self._descriptor, text.encode())

    def wait(self) -> Exit:
        """Wait for its end."""
        until(self._has_ended, "the command ends", seconds=_END_S)
        assert self.code is not None
        return Exit(self.code)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.code is None and not self._has_ended():
            os.kill(self._process_id, 9)
            os.waitpid(self._process_id, 0)
        os.close(self._descriptor)

    def _has_ended(self) -> bool:
        self._read()
        process_id, status = os.waitpid(self._process_id, os.WNOHANG)
        if process_id:
            self._read()
            self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def _read(self) -> Any:
        try:
            while piece := os.read(self._descriptor, 65536):
                self.raw += piece.decode(errors="replace")
        except BlockingIOError:
            return
        except OSError:  # its end, on Linux
            return
