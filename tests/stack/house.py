"""A `lowland serve` of a test's own: started, looked at from outside, and gone afterwards."""

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.waiting import until

ROOT: Final = Path(__file__).resolve().parent.parent.parent
LOWLAND: Final = str(Path(sys.executable).with_name("lowland"))
#: How long a start may take beside other tests.
START_S: Final = 90.0

#: What tells the children of a house apart: a part of their command line.
PARTS: Final = {"valkey": "valkey-server", "worker": "celery", "keeper": "worker.keeper", "api": "uvicorn"}


@dataclass(kw_only=True)
class House:
    """A running `lowland serve`."""

    process: subprocess.Popen[str]
    folder: Path
    log_path: Path
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where its API is, once it is ready."""
        return re.findall(r"ready on (\S+)", " ".join(self.said))[0]

    @property
    def log(self) -> str:
        """What it has said on standard error."""
        return self.log_path.read_text()

    @property
    def redis_url(self) -> str:
        """Its Redis, as its children know it."""
        return self.child("keeper").environ()["LOWLAND_REDIS_URL"]

    def child(self, name: str) -> psutil.Process:
        """The process of one of its parts."""
        return until(lambda: list(self._children(name)), f"{name} runs")[0]

    def new_child(self, name: str, old: psutil.Process) -> psutil.Process:
        """The process that has taken the place of an older one."""
        return until(lambda: [new for new in self._children(name) if new.pid != old.pid], f"{name} runs again")[0]

    def tree(self) -> list[psutil.Process]:
        """Every process of the house, itself included."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def readiness(self) -> dict[str, Any] | None:
        """What `/readyz` says, if it says that the house is ready."""
        return get_json(f"{self.url}/readyz")

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def _children(self, name: str) -> Iterator[psutil.Process]:
        for child in psutil.Process(self.process.pid).children():
            with_name = _command(child)
            if PARTS[name] in with_name:
                yield child


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@contextmanager
def house(folder: Path, *options: str, ready: bool = True, **variables: str) -> Iterator[House]:
    """Start a house with its data in the folder, on a free port."""
    log_path = folder.with_name(f"{folder.name}.log")
    command = [LOWLAND, "serve", "--port", "0", "--data-dir", str(folder), *options]
    # parts that are killed leave their temporary folders behind
    environment = os.environ | {"TMPDIR": str(folder.parent)} | variables
    with log_path.open("a") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, start_new_session=True
        )
    running = House(process=process, folder=folder, log_path=log_path)
    reader = threading.Thread(target=_listen, args=(running,))
    reader.start()
    try:
        if ready:
            until(lambda: running.said or process.poll() is not None, "the house is ready", seconds=START_S)
            assert running.said, running.log
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        reader.join(5)


def serve(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `lowland serve` where it is expected to end by itself, and make sure that it leaves nothing running."""
    mark = secrets.token_hex(8)
    environment = os.environ | variables | {"HOUSE_MARK": mark}
    command = [LOWLAND, "serve", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    left = [process for process in psutil.process_iter() if _environment(process).get("HOUSE_MARK") == mark]
    assert alive(left) == []
    return ended


def get_json(url: str) -> dict[str, Any] | None:
    """The JSON at a URL; None where nobody answers, or not with 200."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    return [process for process in processes if process.is_running() and _status(process) != psutil.STATUS_ZOMBIE]


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _listen(running: House) -> None:
    assert running.process.stdout is not None
    with running.process.stdout as stdout:
        for line in stdout:
            running.said.append(line)
