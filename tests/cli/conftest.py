"""A real API process, a worker's hand, and the command line connected to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Keys, Ledger
from tests.api.conftest import Worker
from tests.api.servers import api_server
from tests.cli.running import Shell


@pytest.fixture(scope="session")
def session_keys() -> Keys:
    """The key layout of the one server that the tests share."""
    return Keys("{tcli}:")


@pytest.fixture(scope="session")
def artifact_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def server(redis_url: str, session_keys: Keys, artifact_dir: Path) -> Iterator[str]:
    with api_server(redis_url, session_keys, artifact_dir) as url:
        yield url


@pytest.fixture
def lowland(server: str) -> Shell:
    return Shell(url=server)


@pytest.fixture
def ledger(redis_url: str, session_keys: Keys, server: str) -> Iterator[Ledger]:
    """The server's, emptied."""
    with Ledger(redis_url, session_keys) as opened:
        redis = opened._client
        for key in redis.scan_iter(session_keys.prefix + "*"):
            redis.delete(key)
        yield opened


@pytest.fixture
def worker(ledger: Ledger) -> Worker:
    return Worker(ledger)
