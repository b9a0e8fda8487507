"""What the tests of the worker share."""

import threading
from collections.abc import Iterator

import pytest

from tests.worker.receiving import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It listens, and answers 204."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()
