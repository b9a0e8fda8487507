"""A receiver of webhooks on loopback."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Receiver:
    """Takes what is sent to it, and answers as it is told to."""

    def __init__(self) -> None:
        self.answers: Callable[[int], int] = lambda number: 204
        """The status for the n-th request of a message, from 0."""
        self.takes_s = 0.0
        """How long it thinks about each."""
        self.go_on = threading.Event()
        """Until it is set, nothing is answered."""
        self.go_on.set()
        self.received: list[Received] = []
        self.most_at_once = 0
        self._at_once: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?of=ada"

    def counts(self) -> Counter[str]:
        """How often each message has come."""
        return Counter(one.message_id for one in self.received)

    def _take(self, received: Received) -> int:
        name = received.message_id
        with self._lock:
            number = self.counts()[name]
            self.received.append(received)
            self._at_once[name] += 1
            self.most_at_once = max(self.most_at_once, self._at_once[name])
        time.sleep(self.takes_s)
        self.go_on.wait()
        with self._lock:
            self._at_once[name] -= 1
        return self.answers(number)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(take(Received(path=self.path, headers=headers, body=body)))
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
