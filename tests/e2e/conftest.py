"""One real house for the tests of this folder, with leases short enough to wait for."""

from collections.abc import Iterator

import pytest

from lowland import Client
from tests.stack.house import House, house

#: Seconds a silent worker keeps its job.
LEASE_S = 3


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with one slot. Tests may kill its parts; what they submit they see through."""
    with house(tmp_path_factory.mktemp("e2e") / "data", "--workers", "1", LOWLAND_LEASE_S=str(LEASE_S)) as started:
        yield started


@pytest.fixture
def client(running: House) -> Iterator[Client]:
    """A client of that house, patient enough for a part of it to start again."""
    with Client(running.url, retry_s=30) as opened:
        yield opened
