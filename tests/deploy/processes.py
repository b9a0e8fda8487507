"""The commands of images and units as processes of this machine, with nothing but the environment they are given."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import httpx2
import psutil

from tests.faults.fleet import PATIENCE_S
from tests.stack.house import ROOT, alive
from tests.waiting import until

#: Makes a namespace where the root cannot be written, but for the folder given first; then becomes the command.
_READ_ONLY: Final = (
    'mount --make-rprivate / && mount --bind "$0" "$0" && mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" '
    '&& mount -o remount,ro,bind / && shift && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Running:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text(errors="replace")

    def stop(self, within_s: float) -> int:
        """Send SIGTERM to the main process, as Docker and `KillMode=mixed` do; gives its exit status.

        Raises:
            AssertionError: something of it is left, or it took longer.
        """
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(within_s)
        assert alive(children) == []
        return status


@contextmanager
def running(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, *, at: Path = ROOT
) -> Iterator[Running]:
    """A command, ended with all it has started.

    Args:
        name: of its log.
        command: whose program is a path.
        environment: everything that it finds there, but for the PATH.
        folder: for its log, and the only one that it can write to where the machine allows namespaces.
        at: the working folder.
    """
    log_path = folder / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*_walls(folder), *command], cwd=at, env=_whole(environment, folder), stdout=log, stderr=log
        )
    try:
        yield Running(process, log_path)
    finally:
        left = []
        with suppress(psutil.NoSuchProcess):
            left = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(10)
        for child in alive(left):
            child.kill()


def ends(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in the same surroundings."""
    return subprocess.run(
        [*_walls(folder), *command],
        cwd=folder,
        env=_whole(environment, folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def until_well(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Wait until a health check passes."""
    until(lambda: ends(command, environment, folder).returncode == 0, " ".join(command), seconds=PATIENCE_S, poll_s=0.5)


def run_a_job(url: str, key: str) -> None:
    """Submit a small training job, and see it to its end, its weights included."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
        spec = {"dataset": {"name": "digits", "limit": 200}, "model": {"name": "mlp", "width": 8}, "epochs": 2}
        submitted = http.post("/jobs", json={**spec, "sam": {"rho": 0.05}})
        assert submitted.status_code == 201, submitted.text
        at = submitted.headers["location"]
        job = until(
            lambda: found if (found := http.get(at).json())["terminal"] else None, "the job ends", seconds=PATIENCE_S
        )
        assert job
        assert job["status"] == "succeeded", job["error"]
        assert http.get(f"{at}/artifacts/model.safetensors").status_code == 200


def _whole(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "CUDA_VISIBLE_DEVICES": "", **environment}


def _walls(folder: Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", _READ_ONLY, str(folder), str(ROOT)] if has_namespaces() else []


@cache
def has_namespaces() -> bool:
    """Whether this machine lets us have mounts of our own."""
    script = "mount --make-rprivate / && mount -o remount,ro,bind /"
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and not subprocess.run([unshare, "--mount", "sh", "-c", script], capture_output=True, check=False).returncode
    )


def replaced(words: str | Sequence[str], changes: Mapping[str, str]) -> list[str]:
    """A command with this machine's paths, ports and programs in the place of the image's or unit's."""
    given = shlex.split(words) if isinstance(words, str) else list(words)
    for old, new in changes.items():
        given = [word.replace(old, new) for word in given]
    return given
