"""Children of one process: started, watched, started again after a growing pause, stopped in order.

    start ──► running ──dies──► pausing 0.5 s, 1 s, 2 s, ... 30 s ──► running ...
                 ├──finishes, where it may──► gone
                 └──SIGTERM──► gone, or after its grace time SIGKILL to its process group

Each child leads a session of its own, so that a terminal's Ctrl-C reaches only the supervisor.
"""

import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from stack.output import Output

#: Pause between a death and the next start: the first, and the longest.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
#: A child that lived for so long was healthy: its next pause is the first again.
HEALTHY_S: Final = 10.0
#: The program that becomes the child.
_BECOME: Final = str(Path(__file__).with_name("child.py"))
#: Bytes of a longer line are cut into several.
LONGEST_LINE: Final = 65536

log = logging.getLogger("lowland.stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs, and how it is stopped."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    """The folder it works in."""
    grace_s: float
    """Seconds between SIGTERM and SIGKILL."""
    patience_s: float
    """Seconds that the next one to be stopped waits for this one."""
    foundation: bool = False
    """Whether it is stopped only when every other one is gone."""
    kept_open: tuple[int, ...] = ()
    """Descriptors it inherits."""
    may_finish: bool = False
    """Whether it is not started again where it ended with exit status 0: it was told to by somebody else."""


class Child:
    """One program, and its process while there is one."""

    def __init__(self, program: Program, output: Output) -> None:
        self.program: Final = program
        self.last_words: Final[deque[str]] = deque(maxlen=3)
        self.deaths_in_a_row = 0
        self.ending = ""
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._started_at = 0.0
        self._start_due = 0.0
        self._kill_due: float | None = None

    def start(self) -> None:
        """Start the program, in a session of its own, as a process that dies with this one."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _BECOME, str(os.getpid()), *self.program.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.program.folder,
            env=self.program.environment,
            pass_fds=self.program.kept_open,
            start_new_session=True,
        )
        self._process = process
        self._started_at = time.monotonic()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()
        log.info("child started: name=%s pid=%d", self.program.name, process.pid)

    def tend(self) -> None:
        """Notice a death; start again when the pause is over."""
        if self._process and self.gone():
            status = self._bury(self._process)
            if status == 0 and self.program.may_finish:
                log.info("child finished, and is not started again: name=%s", self.program.name)
                self._start_due = math.inf
            else:
                self._pause(_ending(status), lived_s=time.monotonic() - self._started_at)
        if self._process is None and time.monotonic() >= self._start_due:
            try:
                self.start()
            except OSError as error:  # no memory or no process number left: that passes
                self._pause(str(error), lived_s=0.0)

    def ask_to_stop(self) -> None:
        """Send SIGTERM; `hurry` sends SIGKILL once the grace time is over."""
        if self._process and self._kill_due is None:
            log.info("child asked to stop: name=%s grace_s=%g", self.program.name, self.program.grace_s)
            self._process.terminate()
            self._kill_due = time.monotonic() + self.program.grace_s

    def hurry(self) -> None:
        """Kill it if its grace time is over."""
        if self._kill_due is not None and time.monotonic() > self._kill_due and not self.gone():
            log.warning("child killed: name=%s grace_s=%g", self.program.name, self.program.grace_s)
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and all of its group."""
        if self._process and not self.gone():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def gone(self) -> bool:
        """Whether there is no process now."""
        return self._process is None or self._process.poll() is not None

    def close(self) -> None:
        """Clear up after the process, if it is gone, and read its last lines."""
        if self._process and self.gone():
            log.info("child stopped: name=%s ending=%r", self.program.name, _ending(self._bury(self._process)))

    def _pause(self, ending: str, *, lived_s: float) -> None:
        """Put off the next start after a death."""
        self.ending = ending
        self.deaths_in_a_row = 1 if lived_s >= HEALTHY_S else self.deaths_in_a_row + 1
        pause_s = min(FIRST_PAUSE_S * 2 ** (self.deaths_in_a_row - 1), LONGEST_PAUSE_S)
        self._start_due = time.monotonic() + pause_s
        message = "child died: name=%s ending=%r lived_s=%.1f pause_s=%g"
        log.warning(message, self.program.name, ending, lived_s, pause_s)

    def _bury(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what a dead process has left of its group, read its last lines, and return its exit status."""
        self._process = None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if self._reader:
            self._reader.join(1.0)
        return process.wait()

    def _read(self, stream: IO[bytes]) -> None:
        prefix = f"{self.program.name:<7}| ".encode()
        with stream:
            for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
                text = line.rstrip(b"\r\n")
                # a line of JSON says itself whose it is, and is to stay one
                self._output.line(text if text.startswith(b'{"') and text.endswith(b"}") else prefix + text)
                if text.strip():
                    self.last_words.append(text.decode("utf-8", "replace").strip())


class Supervisor:
    """Children in the order of their starts; each one needs those before it."""

    def __init__(self, output: Output) -> None:
        self.children: Final[list[Child]] = []
        self._output = output

    def add(self, program: Program) -> None:
        """Start another child."""
        child = Child(program, self._output)
        self.children.append(child)
        child.start()

    def tend(self) -> None:
        """Look after every child once."""
        for child in self.children:
            child.tend()

    def stop(self, at_once: Callable[[], bool]) -> None:
        """Stop the last started first, each given the time of its program; all are gone afterwards.

        Args:
            at_once: asked again and again; kills all when it is true.
        """
        for child in reversed(self.children):
            if child.program.foundation:
                self._wait(
                    lambda: all(other.gone() for other in self.children if not other.program.foundation), at_once
                )
            child.ask_to_stop()
            self._wait(child.gone, at_once, seconds=child.program.patience_s)
        self._wait(lambda: all(child.gone() for child in self.children), at_once)
        for child in self.children:
            child.close()

    def _wait(self, until: Callable[[], bool], at_once: Callable[[], bool], seconds: float = float("inf")) -> None:
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            for child in self.children:
                child.kill() if at_once() else child.hurry()
                child.close()
            time.sleep(0.02)


def _ending(status: int) -> str:
    """An exit status in words."""
    return f"signal {-status}, {signal.strsignal(-status)}" if status < 0 else f"exit code {status}"
