"""What the tests of the worker share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.worker.receiving import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It listens, and answers 204."""
    with receiving() as made:
        yield made


@pytest.fixture
def slow_receiver() -> Iterator[Receiver]:
    """It listens, and answers 204 once it is told to go on."""
    with receiving() as made:
        made.go_on.clear()
        yield made
        made.go_on.set()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen meanwhile."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()
