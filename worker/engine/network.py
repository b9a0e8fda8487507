"""Downloading: how long a silent server is waited for."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds without a byte.
NETWORK_TIMEOUT_S: Final = 30.0


@contextmanager
def network_timeout() -> Iterator[None]:
    """Inside, whoever opens a connection without a time-out, as torch and torchvision do, has this one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
