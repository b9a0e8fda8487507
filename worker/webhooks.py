"""Telling a job's owner what has happened, by the Standard Webhooks specification (standardwebhooks.com).

A message is sent until somebody answers 2xx, on the specification's schedule, each time under the same `webhook-id`: a
receiver that has seen it before may pass it over. Redirects are not followed, and no private address is spoken to.
"""

import http.client
import ipaddress
import json
import socket
import ssl
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from standardwebhooks import Webhook

#: Pauses after each failure; after the last the message is given up.
SCHEDULE_S: Final = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
#: How long the receiver may take, for each step of the exchange.
TIMEOUT_S: Final = 15.0
#: The receiver does not want to hear of it again.
_GONE: Final = 410


class NotDelivered(Exception):
    """The message did not arrive.

    Args:
        reason: what happened.
        for_good: whether trying again is of no use.
    """

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        self.for_good: Final = for_good
        super().__init__(reason)


def send(url: str, message_id: str, body: str, *, secret: str | None, private_allowed: bool) -> None:
    """POST a message.

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
            parts = urlsplit(url)
            path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("POST", path, body.encode(), headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered {status}", for_good=status == _GONE)


def message(kind: str, at: datetime, data: object) -> str:
    """The body of a message, as the specification recommends it."""
    return json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data})


def _connect(url: str, *, private_allowed: bool) -> http.client.HTTPConnection:
    """A connection to an address that was looked at: asking for the name again could give another one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    address = str(found[0][4][0])
    if not private_allowed and not _is_public(address):
        raise NotDelivered(f"{host} is {address}, which is no public address (LOWLAND_WEBHOOK_PRIVATE allows it)")
    plain = socket.create_connection((address, port), timeout=TIMEOUT_S)
    if parts.scheme == "https":
        try:
            secure = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
        connection.sock = secure
        return connection
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    connection.sock = plain
    return connection


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not found.is_multicast
