"""Telling a job's owner what has happened, by the Standard Webhooks specification (standardwebhooks.com).

A message is sent until it is answered with 2xx or the specification's schedule is over, each time under the same
`webhook-id`: a receiver that has seen it before may pass it over. One that answers 410 hears nothing more of the job.
Redirects are not followed, and no private address is spoken to.
"""

import http.client
import ipaddress
import json
import os
import socket
import ssl
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from ledger.documents import as_text

#: Pauses after each failure; after the last the message is given up.
SCHEDULE_S: Final = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
#: How long the receiver may take, for each step of the exchange.
TIMEOUT_S: Final = 15.0
#: How long the handshake may take as a whole, and then the exchange.
EXCHANGE_S: Final = 30.0
#: Addresses of a name that are tried; with the times above, all is over before the chore is anybody else's.
_ADDRESSES_TRIED: Final = 2
#: Networks of IPv6 addresses that end in an IPv4 address, which is where they lead: compatible, mapped, NAT64.
_ENDING_IN_IPV4: Final = tuple(ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96"))
#: Not public, whatever this Python's `ipaddress` knows of them: all IPv6 beside 2000::/3, where the global ones are,
#: what is reserved for documentation, and what for protocols between IPv4 and IPv6.
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network) for network in ("::/3", "4000::/2", "8000::/1", "3fff::/20", "192.0.0.0/24")
)
#: The receiver does not want to hear of it again.
_GONE: Final = 410


class NotDelivered(Exception):
    """The message did not arrive.

    Args:
        reason: what happened; for the owner too, so that nothing of the message or of an answer's text is in it.
        answered: the status, if an answer came.
    """

    def __init__(self, reason: str, *, answered: int | None = None) -> None:
        self.answered: Final = answered
        self.is_gone: Final = answered == _GONE
        super().__init__(reason)


def send(url: str, message_id: str, body: str, *, secret: str | None, private_allowed: bool) -> int:
    """POST a message; gives the status it was answered with.

    Args:
        url: where to, http or https.
        message_id: the same each time the message is sent.
        body: JSON.
        secret: signs the message (`whsec_...`); None sends it without a signature.
        private_allowed: whether addresses that are not public may be spoken to.

    Raises:
        NotDelivered: nobody has answered 2xx.
    """
    sent_at = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "lowland",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
    }
    if secret is not None:
        headers["webhook-signature"] = Webhook(secret).sign(message_id, sent_at, body)
    try:
        connection = _connect(url, private_allowed=private_allowed)
        try:
            with _cut_off(connection.sock):
                parts = urlsplit(url)
                path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
                connection.request("POST", path, body.encode(), headers)
                status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, ValueError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    except http.client.HTTPException as error:
        raise NotDelivered(f"what it answered is no HTTP ({type(error).__name__})") from error
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered {status}", answered=status)
    return status


def message(kind: str, at: datetime, data: object) -> str:
    """The body of a message, as the specification recommends it; `at` is in UTC."""
    return json.dumps({"type": kind, "timestamp": as_text(at), "data": data})


def _connect(url: str, *, private_allowed: bool) -> http.client.HTTPConnection:
    """A connection to an address that was looked at: asking for the name again could give another one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private_allowed and not all(map(_is_public, found)):
        # not which: the job's owner reads this, and is not to learn what names mean inside
        raise NotDelivered(f"{host} leads to an address that is not public (LOWLAND_WEBHOOK_PRIVATE allows it)")
    plain = _connect_to_one_of(found[:_ADDRESSES_TRIED], port)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
        try:
            with _cut_off(plain):
                connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        return connection
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    connection.sock = plain
    return connection


def _connect_to_one_of(addresses: Sequence[str], port: int) -> socket.socket:
    """The first that takes the connection: a name may stand for some that lead nowhere from here."""
    *others, last = addresses
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, port), timeout=TIMEOUT_S)
    return socket.create_connection((last, port), timeout=TIMEOUT_S)


@contextmanager
def _cut_off(plain: socket.socket) -> Generator[None]:
    """Shut the socket down after a while: one who answers byte by byte keeps within the time of each step for ever."""
    # one under TLS has no copy of its own kind, and the handshake takes the other kind away
    own = socket.socket(fileno=os.dup(plain.fileno()))
    timer = threading.Timer(EXCHANGE_S, _shut_down, [own])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        own.close()


def _shut_down(own: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        own.shutdown(socket.SHUT_RDWR)


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _ENDING_IN_IPV4):
            found = ipaddress.IPv4Address(found.packed[-4:])
        elif found.sixtofour:
            found = found.sixtofour
    is_set_aside = any(found in network for network in _NOT_PUBLIC)
    return found.is_global and not found.is_multicast and not is_set_aside
