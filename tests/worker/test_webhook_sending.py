"""One message on its way: to which addresses, over what, and for how long."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import worker.chores
import worker.webhooks
from tests.worker.receiving import Receiver
from worker.webhooks import NotDelivered, send


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_delivery_and_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = lambda number: status

    with pytest.raises(NotDelivered, match=f"it answered {status}"):
        send(receiver.url, "m1", "{}", secret=None, private_allowed=True)

    assert [one.path for one in receiver.received] == ["/hook?of=ada"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "[fec0::1]",
        "[64:ff9b:1::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[::]",
        "[2001::7f00:1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[5f00::1]",
        "192.0.0.8",
        "192.0.2.1",
        "224.0.0.1",
    ],
)
def test_an_address_that_is_not_public_is_not_spoken_to(receiver: Receiver, host: str) -> None:
    with pytest.raises(NotDelivered, match=r"not public|gaierror"):
        send(f"http://{host}:{receiver.port}/", "m1", "{}", secret=None, private_allowed=False)

    assert receiver.received == []


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"]
)
def test_a_public_address_is_spoken_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    spoken_to: list[str] = []

    def connect(where: tuple[str, int], timeout: float) -> socket.socket:
        spoken_to.append(where[0])
        raise ConnectionRefusedError

    stand_for(monkeypatch, address)
    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(NotDelivered, match="ConnectionRefusedError"):
        send("http://hook.test/", "m1", "{}", secret=None, private_allowed=False)

    assert spoken_to == [address]


def test_a_name_that_is_also_private_is_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_for(monkeypatch, "1.1.1.1", "127.0.0.1")

    with pytest.raises(NotDelivered, match=r"leads to an address that is not public"):
        send(f"http://hook.test:{receiver.port}/", "m1", "{}", secret=None, private_allowed=False)


def test_a_name_s_second_address_is_tried_where_the_first_leads_nowhere(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_for(monkeypatch, "127.0.0.2", "127.0.0.1")

    send(f"http://hook.test:{receiver.port}/", "m1", "{}", secret=None, private_allowed=True)

    assert [one.headers["host"] for one in receiver.received] == [f"hook.test:{receiver.port}"]


def test_a_receiver_that_answers_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the chore is another keeper's while the first still waits for the end of the answer."""
    monkeypatch.setattr(worker.webhooks, "EXCHANGE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        began_at = time.monotonic()

        with pytest.raises(NotDelivered):
            send(f"http://127.0.0.1:{server.getsockname()[1]}/", "m1", "{}", secret=None, private_allowed=True)

        assert time.monotonic() - began_at < 2
        dripping.join()


def test_what_is_no_http_is_not_quoted() -> None:
    """The owner reads the reason; whatever listens there may have said something that is none of his business."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=answer_once, args=(server, b"SSH-2.0-inner-7\r\n"))
        answering.start()

        with pytest.raises(NotDelivered) as failed:
            send(f"http://127.0.0.1:{server.getsockname()[1]}/", "m1", "{}", secret=None, private_allowed=True)

        answering.join()
    assert str(failed.value) == "what it answered is no HTTP (BadStatusLine)"
    assert failed.value.answered is None


def answer_once(server: socket.socket, answer: bytes) -> None:
    """Take one connection, hear it out and say this."""
    connection, _ = server.accept()
    with connection:
        heard = b""
        while not heard.endswith(b"\r\n\r\n{}"):
            heard += connection.recv(65536)
        connection.sendall(answer)


def test_all_a_message_may_take_is_over_before_it_is_another_s() -> None:
    longest_s = 2 * worker.webhooks.TIMEOUT_S + 2 * worker.webhooks.EXCHANGE_S

    assert longest_s < worker.chores.KEPT_MS / 1000


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "http://127.0.0.1:99999/"])
def test_nobody_there_is_no_delivery(url: str) -> None:
    with pytest.raises(NotDelivered):
        send(url, "m1", "{}", secret=None, private_allowed=True)


def stand_for(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let the name hook.test stand for these."""
    look_up = socket.getaddrinfo

    def found(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host != "hook.test":
            return look_up(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def drip(server: socket.socket) -> None:
    """Take one connection, and answer it a byte whenever nothing has come for a while, until the other side ends it."""
    connection, _ = server.accept()
    connection.settimeout(0.02)
    with connection, suppress(ConnectionError):
        while True:
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                connection.sendall(b"H")


def test_a_message_goes_over_tls_to_whom_the_certificate_names(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent / "tls"
    heard: list[bytes] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(here / "localhost.pem", here / "localhost.key")

    def answer(listening: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(listening.accept()[0], server_side=True) as one:
            heard.append(one.recv(65536))
            one.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def told() -> None:
        with socket.create_server(("localhost", 0)) as listening:
            thread = threading.Thread(target=answer, args=(listening,))
            thread.start()
            try:
                url = f"https://localhost:{listening.getsockname()[1]}/hook"
                send(url, "m1", "{}", secret=None, private_allowed=True)
            finally:
                thread.join()

    with pytest.raises(NotDelivered, match="CERTIFICATE_VERIFY_FAILED"):
        told()
    monkeypatch.setenv("SSL_CERT_FILE", str(here / "localhost.pem"))
    told()

    assert [one.split(b"\r\n")[0] for one in heard] == [b"POST /hook HTTP/1.1"]
