"""The parts run alone, configured by `LOWLAND_*`, against a Redis that somebody else runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ledger import Keys
from lowland import Client
from lowland.spec import Status
from tests.conftest import free_port
from tests.e2e.training import SMALL, finished, outcomes
from tests.stack.house import ROOT, House, house


@contextmanager
def part(*module: str, log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A part of the server as its own process, stopped by SIGTERM."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", *module]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def test_uvicorn_celery_and_the_keeper_work_alone(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "LOWLAND_REDIS_URL": redis_url,
        "LOWLAND_REDIS_PREFIX": keys.prefix,
        "LOWLAND_ARTIFACT_DIR": str(tmp_path / "artifacts"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    parts = {
        "api": ("uvicorn", "api.main:app", "--port", str(port)),
        "keeper": ("worker.keeper",),
        "worker": ("celery", "-A", "worker.app", "worker", "-n", f"{keys.prefix.strip('{}:')}@%h"),
    }

    with ExitStack() as running, Client(f"http://127.0.0.1:{port}", retry_s=60) as client:
        started = [
            running.enter_context(part(*module, log=tmp_path / name, environment=environment))
            for name, module in parts.items()
        ]
        assert list(client.list()) == []  # which is asked again until the API answers
        job = finished(client, client.submit(SMALL))

    assert (job.status, outcomes(job)) == (Status.SUCCEEDED, [(1, "succeeded")])
    assert [process.returncode for process in started[1:]] == [0, 0]


def test_a_house_works_with_a_redis_that_is_there(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    with (
        house(tmp_path / "data", "--redis-url", redis_url, LOWLAND_REDIS_PREFIX=keys.prefix) as running,
        Client(running.url) as client,
    ):
        job = finished(client, client.submit(SMALL))
        names = commands(running)

    assert job.status == Status.SUCCEEDED
    assert not any("valkey-server" in name for name in names)


def commands(running: House) -> list[str]:
    """What the processes of a house run."""
    return [" ".join(process.cmdline()) for process in running.tree()]
