"""A real API process, and the clients connected to it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ledger import Keys, Ledger
from lowland import Client
from tests.api.conftest import Worker
from tests.api.servers import api_server
from tests.client.awaiting import awaiting


@pytest.fixture(scope="session")
def session_keys() -> Keys:
    """The key layout of the one server that most tests share."""
    return Keys("{tclient}:")


@pytest.fixture(scope="session")
def artifact_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def server(redis_url: str, session_keys: Keys, artifact_dir: Path) -> Iterator[str]:
    with api_server(redis_url, session_keys, artifact_dir) as url:
        yield url


Opening = Callable[..., AbstractContextManager[Client]]


@pytest.fixture(params=[Client, awaiting], ids=["blocking", "asyncio"])
def opening(request: pytest.FixtureRequest) -> Opening:
    """Makes clients, blocking ones and those for asyncio."""
    return request.param


@pytest.fixture
def client(server: str, opening: Opening) -> Iterator[Client]:
    with opening(server, timeout_s=10) as opened:
        yield opened


@pytest.fixture
def ledger(redis_url: str, session_keys: Keys) -> Iterator[Ledger]:
    """The shared server's, emptied."""
    with Ledger(redis_url, session_keys) as opened:
        redis = opened._client
        for key in redis.scan_iter(session_keys.prefix + "*"):
            redis.delete(key)
        yield opened


@pytest.fixture
def worker(ledger: Ledger) -> Worker:
    return Worker(ledger)
