"""A fleet for each test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fleet import Fleet, fleet_in


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Parts of a server, none of them started yet."""
    with fleet_in(tmp_path) as parts:
        yield parts
