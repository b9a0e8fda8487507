"""What the client repeats when the server is away, and what it never does."""

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger import Keys
from lowland.client import Client
from lowland.errors import ServerUnavailable
from tests.api.servers import api_server
from tests.conftest import free_port


def test_reading_outlasts_a_restart(client: Client, redis_url: str, session_keys: Keys, artifact_dir: Path) -> None:
    """Asked while nobody listens, answered by a server that starts later on the same ledger."""
    job = client.submit({"dataset": "digits"})
    port = free_port()

    with ExitStack() as running, Client(f"http://127.0.0.1:{port}", retry_s=30) as early:
        late = threading.Timer(
            0.2, lambda: running.enter_context(api_server(redis_url, session_keys, artifact_dir, port=port))
        )
        late.start()
        found = early.get(job.id)
        late.join()

    assert found == job


def test_a_submit_is_sent_once() -> None:
    """Whether a lost one was queued nobody knows, so repeating it is left to who can tell."""
    with Client(f"http://127.0.0.1:{free_port()}", retry_s=3600) as client, pytest.raises(ServerUnavailable):
        client.submit({"dataset": "digits"})


def test_a_server_without_redis_is_unavailable(keys: Keys, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"

    with api_server(nowhere, keys, tmp_path) as url, Client(url, retry_s=0) as client:
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.submit({"dataset": "digits"})
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.get("0199f3a0-0000-7000-8000-000000000000")
