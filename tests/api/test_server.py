"""What only shows on a socket: `uvicorn api.main:app` by itself, and bodies as they come."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from ledger import Keys
from tests.api.answers import assert_problem
from tests.api.servers import api_server

MEGABYTE = b" " * 1024 * 1024


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all: nothing here queues a job."""
    with api_server(redis_url, Keys("{tserver}:"), tmp_path_factory.mktemp("artifacts")) as url:
        yield url


def test_bodies_are_refused_as_soon_as_they_are_too_large(server: str) -> None:
    """Declared as too large, or growing too large in chunks of unknown number; and the server goes on."""

    def chunks() -> Iterator[bytes]:
        yield from [MEGABYTE] * 5

    with httpx2.Client(base_url=server, headers={"content-type": "application/json"}) as http:
        for body in (MEGABYTE * 5, chunks()):
            assert_problem(http.post("/jobs", content=body), 413, "body-too-large")
            assert http.get("/jobs").json() == {"jobs": [], "next": None}


def test_a_large_body_is_refused_before_it_is_sent(server: str) -> None:
    """Only the header goes out: whoever asks first is spared sending the rest."""
    with connection(server) as line:
        line.sendall(head("Content-Type: application/json", "Content-Length: 5000000", "Expect: 100-continue"))

        answer = line.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_breaks_off_queues_nothing(server: str) -> None:
    body = json.dumps({"dataset": "digits"}).encode()
    with connection(server) as line:
        line.sendall(head("Content-Type: application/json", f"Content-Length: {len(body) + 1}") + body)
        line.shutdown(socket.SHUT_WR)
        while line.recv(4096):
            pass

    assert httpx2.get(f"{server}/jobs").json() == {"jobs": [], "next": None}


def connection(server: str) -> socket.socket:
    address = urlsplit(server)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=10)


def head(*headers: str) -> bytes:
    return "\r\n".join(["POST /jobs HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()
