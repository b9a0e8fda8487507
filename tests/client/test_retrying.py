"""What the client repeats when the server is away, and what it never does."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from ledger import Keys
from lowland.client import Client
from lowland.errors import RequestFailed, ServerUnavailable
from tests.api.servers import api_server
from tests.conftest import free_port


@contextmanager
def losing_answers(url: str, times: int) -> Iterator[tuple[str, list[int]]]:
    """Something between a client and the server that passes POSTs on, and hangs up instead of answering so many times.

    Gives its address, and the statuses of the answers that it has kept to itself.
    """
    lost: list[int] = []

    class Between(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = httpx2.post(url + self.path, content=body, headers=dict(self.headers), trust_env=False)
            if len(lost) < times:
                lost.append(answer.status_code)
                return
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    with HTTPServer(("127.0.0.1", 0), Between) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", lost
        finally:
            server.shutdown()
            serving.join()


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


def test_a_submit_whose_answer_was_lost_is_sent_again_and_makes_one_job(client: Client) -> None:
    name = uuid.uuid4().hex

    with losing_answers(client.base_url, 2) as (url, lost), Client(url, retry_s=30) as cut_off:
        job = cut_off.submit({"dataset": "digits", "name": name})

    assert lost == [201, 201]
    assert [known.id for known in client.jobs() if known.spec.name == name] == [job.id]


def test_a_key_of_ones_own_gives_the_same_job_from_anywhere(client: Client) -> None:
    key, spec = uuid.uuid4().hex, {"dataset": "digits"}
    job = client.submit(spec, idempotency_key=key)

    with Client(client.base_url) as other:
        assert other.submit(spec, idempotency_key=key) == job
        with pytest.raises(RequestFailed, match=job.id) as refused:
            other.submit({"dataset": "digits", "epochs": 3}, idempotency_key=key)

    assert refused.value.slug == "idempotency-key-reused"


@pytest.mark.parametrize("key", ["", "x" * 256, "grün", "a\nb", " a", "a "])
def test_a_key_that_no_header_carries_is_refused_at_once(key: str) -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", retry_s=3600) as client,
        pytest.raises(ValueError, match="255 printable"),
    ):
        client.submit({"dataset": "digits"}, idempotency_key=key)


def test_a_retry_is_sent_once() -> None:
    """Whether a lost one was carried out nobody knows: the job may have failed again since."""
    with Client(f"http://127.0.0.1:{free_port()}", retry_s=3600) as client, pytest.raises(ServerUnavailable):
        client.retry("0199f3a0-0000-7000-8000-000000000000")


def test_a_server_without_redis_is_unavailable(keys: Keys, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"

    with api_server(nowhere, keys, tmp_path) as url, Client(url, retry_s=0) as client:
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.submit({"dataset": "digits"})
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.get("0199f3a0-0000-7000-8000-000000000000")
