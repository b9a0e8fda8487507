"""What stands between a client and a server, and lets it down: cuts connections, or answers itself."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

Plan = int | bytes | None
"""What becomes of a connection: it is cut after so many bytes of answers, answered so by the relay and closed, or left
alone.
"""


class Relay:
    """Passes connections on.

    Args:
        url: of the server.
        plans: for the first connections, in order; later ones are left alone.
    """

    def __init__(self, url: str, plans: Sequence[Plan]) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._plans = list(plans)
        self._lock = threading.Lock()
        self.asked = b""
        """What clients have sent, all of it."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    @property
    def plans_left(self) -> int:
        return len(self._plans)

    def lines(self, start: str) -> list[str]:
        """What clients have sent from each such beginning to the end of its line."""
        return re.findall(re.escape(start) + r"[^\r\n]*", self.asked.decode(errors="replace"))

    def cut(self) -> None:
        """Cut the connections that are open."""
        for each in self._open:
            _shut(each)

    def close(self) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            plan = self._plans.pop(0) if self._plans else None
            if isinstance(plan, bytes):
                self._asks(client.recv(65536))
                client.sendall(plan)
                client.close()
                continue
            server = socket.create_connection(self._server)
            self._open.append(server)
            for target, arguments in ((self._there, (client, server)), (self._back, (client, server, plan))):
                self._threads.append(threading.Thread(target=target, args=arguments))
                self._threads[-1].start()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self._asks(data)
                server.sendall(data)
        _shut(server)

    def _back(self, client: socket.socket, server: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if left is not None and left <= len(data):
                    client.sendall(data[:left])
                    break
                left = None if left is None else left - len(data)
                client.sendall(data)
        _shut(client)
        _shut(server)

    def _asks(self, data: bytes) -> None:
        with self._lock:
            self.asked += data


@contextmanager
def relayed(url: str, *plans: Plan) -> Iterator[Relay]:
    """A relay before a server, which goes with the context."""
    relay = Relay(url, plans)
    try:
        yield relay
    finally:
        relay.close()


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer of HTTP/1.1, whole."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
