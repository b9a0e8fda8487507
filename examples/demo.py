"""Train a small model through the whole server, and show it: `make demo`, or `python examples/demo.py [DATASET]`.

Starts `lowland serve` on a free port with a temporary data folder, submits a job over HTTP, follows it, fetches its
weights, and stops the server again. Nothing stays but the weights, in `demo/`.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lowland import Client
from lowland.errors import LowlandError
from lowland.spec import Status
from lowland.spec.resource import Job

ROOT: Final = Path(__file__).resolve().parent.parent
WEIGHTS: Final = "model.safetensors"

#: What a job says beside its data set, its variant and its name, so that it takes minutes on two cores.
SPECS: Final[Mapping[str, Mapping[str, Any]]] = {
    "kmnist": {"epochs": 2, "model": {"name": "resnet9", "width": 16}},
    "fashion-mnist": {"epochs": 2, "model": {"name": "resnet9", "width": 16}},
    "cifar10": {"epochs": 2, "model": {"name": "resnet9", "width": 16}},
}
#: Test accuracy below which something is wrong.
EXPECTED: Final[Mapping[str, float]] = {"digits": 0.97, "kmnist": 0.94}

#: How long the server may take to get ready, and to stop.
START_S: Final = 180.0
STOP_S: Final = 15.0
#: Lines of the server's log that are shown when it fails.
LOG_LINES: Final = 20

console: Final = Console(highlight=False, soft_wrap=True)


class DemoFailed(Exception):
    """Something did not go as it should; the message says what."""


def main(arguments: list[str]) -> int:
    """Run the demo; gives the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    dataset = arguments[0] if arguments else "digits"
    started_at = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="lowland-demo-") as folder,
            server(Path(folder)) as url,
            Client(url) as client,
        ):
            job = train(client, dataset)
            weights = fetch_weights(client, job, dataset)
    except (DemoFailed, LowlandError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return report(dataset, job, weights, seconds=time.monotonic() - started_at)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server with its data in the folder, for as long as the context lasts; gives its URL."""
    command = [
        str(Path(sys.executable).with_name("lowland")),
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(folder / "data"),
    ]
    log = folder / "serve.log"
    with log.open("wb") as stderr:
        # a session of its own: Ctrl-C comes to us, and we stop it
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, env=_environment(), start_new_session=True
        )
    try:
        yield _wait_until_ready(process, log)
    finally:
        _stop(process)


def train(client: Client, dataset: str) -> Job:
    """Submit a job, show how it goes, and return it once it has succeeded."""
    spec = {"dataset": dataset, "sam": "sam", "name": "demo", **SPECS.get(dataset, {})}
    job = client.submit(spec)
    console.print(f"POST {client.base_url}/jobs: {dataset}, {job.spec.epochs} epochs, job {job.id}")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"), TimeElapsedColumn(),
        console=console, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        view = View(bar, bar.add_task("queued", total=1.0, shown=""))
        try:
            job = client.wait(job.id, on_update=view.update)
        except KeyboardInterrupt:
            client.cancel(job.id)
            raise
    if job.status != Status.SUCCEEDED:
        raise DemoFailed(f"the job {job.status}" + (f": {job.error.title}: {job.error.detail}" if job.error else ""))
    return job


class View:
    """The job as it goes: a bar in a terminal, else a line for each epoch."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._printed: object = None

    def update(self, job: Job) -> None:
        """Show the job's present state."""
        progress = job.progress
        completed = progress.fraction if progress else 0.0
        self._bar.update(self._task, description=job.status, completed=completed, shown=" ".join(_numbers(job)))
        if not console.is_terminal and self._printed != (job.status, job.metrics):
            self._printed = (job.status, job.metrics)
            console.print(job.status, *_numbers(job))


def fetch_weights(client: Client, job: Job, dataset: str) -> Path:
    """Download the weights, before the server and its folder go."""
    folder = ROOT / "demo"
    folder.mkdir(exist_ok=True)
    return client.download(job.id, WEIGHTS, folder / f"{dataset}-{WEIGHTS}")


def report(dataset: str, job: Job, weights: Path, *, seconds: float) -> int:
    """Say how it ended; gives the exit code."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    console.print(f"accuracy       {_percent(job.accuracy)} on the validation part")
    console.print(f"test accuracy  {_percent(job.test_accuracy)}")
    console.print(f"weights        {weights}")
    console.print(f"               {weights.stat().st_size:,} bytes, sha256 {digest}")
    console.print(f"               from safetensors.torch import load_file; load_file({os.path.relpath(weights)!r})")
    console.print(f"time           {seconds:.1f} s, server included; it is stopped, its temporary folder is gone")
    expected = EXPECTED.get(dataset, 0.0)
    if job.test_accuracy is None or job.test_accuracy < expected:
        print(f"demo: the test accuracy should be at least {_percent(expected)}", file=sys.stderr)
        return 1
    return 0


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + START_S
    said = b""
    with console.status("starting the server"):
        while time.monotonic() < deadline:
            said += process.stdout.read() or b""
            if found := re.search(rb"ready on (\S+)\n", said):
                console.print(f"lowland serve is ready on {found[1].decode()}")
                return found[1].decode()
            if process.poll() is not None:
                raise DemoFailed(f"the server did not start; it said last:\n{_tail(log)}")
            time.sleep(0.05)
    raise DemoFailed(f"the server was not ready after {START_S:g} s; it said last:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server in order, or at once where a second Ctrl-C asks for it."""
    with process, console.status("stopping the server"):
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
        except subprocess.TimeoutExpired:
            process.kill()  # its children die with it
            raise DemoFailed(f"the server did not stop within {STOP_S:g} s, and was killed") from None
    if code and sys.exc_info()[0] is None:
        raise DemoFailed(f"the server did not stop in order: exit code {code}")


def _environment() -> dict[str, str]:
    """Ours, without settings that would lead to another server's data; where data sets lie stays."""
    kept = ("LOWLAND_DATA_DIR", "LOWLAND_DOWNLOAD_DIR")
    return {name: value for name, value in os.environ.items() if not name.startswith("LOWLAND_") or name in kept}


def _numbers(job: Job) -> Iterator[str]:
    if job.progress:
        yield f"epoch {job.progress.epoch}/{job.progress.epochs}"
    if "train_loss" in job.metrics:
        yield f"loss {job.metrics['train_loss']:.4f}"
    if job.accuracy is not None:
        yield f"accuracy {_percent(job.accuracy)}"
    if job.progress and not job.terminal and job.progress.eta_s is not None:
        yield f"ETA {job.progress.eta_s:.0f} s"


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.2f} %"


def _tail(log: Path) -> str:
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
