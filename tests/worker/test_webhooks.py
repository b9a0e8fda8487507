"""Webhooks, to a real receiver on loopback."""

import json
import logging
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

import worker.chores
import worker.webhooks
from ledger import Ledger
from tests.ledger.archiving import finished, retry
from tests.ledger.playing import claimed, job, settle, submit
from tests.waiting import until
from tests.worker.keepers import doing, left, until_done, working
from worker.webhooks import NotDelivered, send

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pauses of no length; gives how many there are."""
    monkeypatch.setattr(worker.chores, "SCHEDULE_S", (0, 0, 0))
    return 3


def finished_with(ledger: Ledger, receiver: Receiver, **webhook: Any) -> str:
    return finished(ledger, epochs=1, webhook={"url": receiver.url, "secret": SECRET, **webhook})


def test_a_finished_job_is_told_with_a_signature_that_holds(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    [received] = receiver.received
    told = Webhook(SECRET).verify(received.body, received.headers)
    ended = job(ledger, job_id)
    assert ended.finished_at is not None
    assert told == {
        "type": "job.finished",
        "timestamp": ended.finished_at.isoformat(),
        "data": ended.model_dump(mode="json"),
    }
    assert received.path == "/hook?of=ada"
    assert received.headers["content-type"] == "application/json"
    assert SECRET not in received.body.decode()


def test_without_a_secret_there_is_no_signature(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    finished_with(ledger, receiver, secret=None)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert "webhook-signature" not in receiver.received[0].headers


def test_start_and_end_are_told_once_each(ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver) -> None:
    job_id = submit(ledger, webhook={"url": receiver.url, "events": ["started", "finished"]})

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        settle(ledger, claimed(ledger), "stopped")  # put back by a worker that shuts down
        settle(ledger, claimed(ledger), "succeeded")
        until_done(redis_url, ledger, "webhook")

    assert Counter(one.json["type"] for one in receiver.received) == {"job.started": 1, "job.finished": 1}
    assert {kind_of(one.message_id) for one in receiver.received} == {f"{job_id}.started", f"{job_id}.finished"}


def test_what_was_not_asked_for_is_not_told(ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver) -> None:
    finished_with(ledger, receiver, events=["started"])

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert [one.json["type"] for one in receiver.received] == ["job.started"]


def test_a_second_life_is_told_under_an_id_of_its_own(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)
    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

        retry(ledger, job_id)
        settle(ledger, claimed(ledger), "succeeded")

        until(lambda: len(receiver.received) == 2, "it is told again")

    assert [kind_of(one.message_id) for one in receiver.received] == [f"{job_id}.finished"] * 2
    assert len({one.message_id for one in receiver.received}) == 2


@pytest.mark.usefixtures("impatient")
def test_a_message_is_sent_again_under_the_same_id_until_it_is_taken(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 204 if number == 2 else 500
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert [kind_of(one.message_id) for one in receiver.received] == [f"{job_id}.finished"] * 3
    assert len({one.message_id for one in receiver.received}) == 1
    for one in receiver.received:
        Webhook(SECRET).verify(one.body, one.headers)


def test_the_pauses_are_those_of_the_schedule(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.chores, "SCHEDULE_S", (0, 3600))
    receiver.answers = lambda number: 500
    finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until(lambda: list(left(redis_url, ledger, "webhook").values()) == [2], "it was tried twice")

    assert len(receiver.received) == 2


def test_after_the_last_pause_a_message_is_given_up(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, impatient: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = lambda number: 500
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert len(receiver.received) == impatient + 1
    assert re.search(rf"webhook given up: {job_id} finished failed \d+: it answered 500", caplog.text)


@pytest.mark.usefixtures("impatient")
def test_a_receiver_that_is_gone_hears_of_it_once(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 410
    finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert len(receiver.received) == 1


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
        "224.0.0.1",
    ],
)
def test_an_address_that_is_not_public_is_not_spoken_to(receiver: Receiver, host: str) -> None:
    with pytest.raises(NotDelivered, match=r"no public address|gaierror"):
        send(f"http://{host}:{receiver.port}/", "m1", "{}", secret=None, private_allowed=False)

    assert receiver.received == []


def test_private_addresses_are_refused_by_default(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    finished_with(ledger, receiver)

    with caplog.at_level(logging.WARNING), doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()

    assert receiver.received == []
    assert list(left(redis_url, ledger, "webhook").values()) == [1]
    assert "127.0.0.1 is 127.0.0.1, which is no public address (LOWLAND_WEBHOOK_PRIVATE allows it)" in caplog.text


def test_a_name_that_is_also_private_is_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_for(monkeypatch, "1.1.1.1", "127.0.0.1")

    with pytest.raises(NotDelivered, match=r"is 127\.0\.0\.1, which is no public address"):
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


def test_all_a_message_may_take_is_over_before_it_is_another_s() -> None:
    longest_s = 2 * worker.webhooks.TIMEOUT_S + 2 * worker.webhooks.EXCHANGE_S

    assert longest_s < worker.chores.KEPT_MS / 1000


@pytest.mark.usefixtures("impatient")
def test_a_message_is_never_sent_by_two_keepers_at_once(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 204 if number == 2 else 503
    receiver.takes_s = 0.05
    ids = [finished_with(ledger, receiver) for _ in range(10)]

    with working(ledger, redis_url, tmp_path, keepers=2, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert sorted(receiver.counts().values()) == [3] * len(ids)
    assert {kind_of(one) for one in receiver.counts()} == {f"{job_id}.finished" for job_id in ids}
    assert receiver.most_at_once == 1


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
    """Take one connection, and answer it a byte at a time until the other side has had enough."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        while True:
            connection.sendall(b"H")
            time.sleep(0.02)


def kind_of(message_id: str) -> str:
    """Without the moment."""
    return message_id.rpartition(".")[0]


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
