"""One thread: what the pages compute is small, and two test processes share two cores best so.

And the server that most pages take for granted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from lowland.client import Client
from tests.stack.house import House, house


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A server that runs, and a job on it that has succeeded: what pages take for granted that do not start one."""

    house: House
    job: str

    @property
    def port(self) -> int:
        """Of its API."""
        return int(self.house.url.rpartition(":")[2])


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The server of the pages that do not start one."""
    with (
        house(tmp_path_factory.mktemp("docs") / "data", "--workers", "1", LOWLAND_THREADS="1") as started,
        Client(started.url) as lowland,
    ):
        job = lowland.wait(lowland.submit({"dataset": "digits", "epochs": 2}).id, timeout_s=60)
        assert job.status == "succeeded"
        yield Standing(house=started, job=job.id)
