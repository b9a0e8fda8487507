"""Hosts and ports: whether the API can listen where it is told to, and a free port for what only we use."""

import ipaddress
import os
import random
import socket
from typing import Final

from stack.errors import PortUnavailable

#: Below the range from which systems take ports for outgoing connections: a client that tries again and again to reach
#: a server that is down could else be given the server's own port, and connect to itself.
_QUIET_PORTS: Final = range(20_000, 32_000)
#: What stands for "every address of this machine", and where such a server is reached from here.
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def check_port(host: str, port: int) -> int:
    """Make sure that a server can listen there; port 0 stands for any free one.

    Returns:
        The port.

    Raises:
        PortUnavailable: it is taken, or the address is not one of this machine.
    """
    try:
        if port == 0:
            return free_port(host)
        for family, address in _addresses(host, port):
            _bind(family, address)
    except (OSError, UnicodeError) as error:
        raise PortUnavailable(host, port, _reason(error)) from error
    return port


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on.

    Raises:
        OSError: there is none, or the address is not one of this machine.
    """
    candidates = random.sample(_QUIET_PORTS, 100)
    for port in candidates:
        try:
            for family, address in _addresses(host, port):
                _bind(family, address)
        except OSError:
            if port == candidates[-1]:
                raise
        else:
            return port
    raise AssertionError("unreachable")


def reachable(host: str) -> str:
    """Where a server that listens on this host is reached from this machine."""
    return _WILDCARDS.get(host, host)


def is_public(host: str) -> bool:
    """Whether others than this machine reach a server that listens on this host.

    Raises:
        PortUnavailable: the host is unknown.
    """
    try:
        found = [str(address[0]).partition("%")[0] for _, address in _addresses(host, 0)]
    except (OSError, UnicodeError) as error:
        raise PortUnavailable(host, 0, _reason(error)) from error
    return not all(ipaddress.ip_address(address).is_loopback for address in found)


def url_of(host: str, port: int) -> str:
    """The URL of a server there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses(
    host: str, port: int
) -> list[tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, address) for family, _, _, _, address in found]


def _bind(family: int, address: object) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)  # pyright: ignore[reportArgumentType]  as getaddrinfo gave it
        probe.listen(1)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the host name is unknown"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)
