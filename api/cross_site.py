"""What other sites' pages have a browser send, and how it is told from what was meant.

A browser sends what a page asks for from wherever it stands, and cookies by itself. So who shows no key changes
something only where the browser does not say that another site's page asked (Origin, Sec-Fetch-Site), and a session
only with a token too, which only our own pages can read.

A page can also have its own name turned to this machine's address, and is then of the same origin (DNS rebinding). So a
server that wants no keys, because nobody but its machine reaches it, is asked only by the names of loopback.
"""

import hashlib
import hmac
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from api.errors import CrossSiteRefused
from api.settings import ApiSettings
from lowland.spec.show import shown

CSRF_HEADER: Final = "X-CSRF-Token"
#: Methods that change nothing.
READING: Final = frozenset({"GET", "HEAD"})
TOKEN_NEEDED: Final = "send the `csrf_token` that GET /session answers, from a page of this server"
_ORIGINS: Final = "ask from a page of this server, show an API key, or name the page's origin in LOWLAND_CORS_ORIGINS"
_HOSTS: Final = "ask for localhost, or name the host in LOWLAND_ALLOWED_HOSTS"


def csrf_token(session: str) -> str:
    """What a page must show beside the session's cookie, which it cannot read itself."""
    return hmac.new(session.encode(errors="surrogateescape"), b"lowland csrf token", hashlib.sha256).hexdigest()


def refuse_other_sites(request: Request, *, session: str | None) -> None:
    """Make sure that no other site's page sent what shows this session, or nothing.

    Raises:
        CrossSiteRefused: one may have.
    """
    settings: ApiSettings = request.app.state.settings
    if session is None:
        _check_host(request, settings.allowed_hosts)
    if request.method in READING:
        return
    _check_origin(request, settings.cors_origins)
    if session is not None:
        _check_token(request, session)


def _check_host(request: Request, allowed: Collection[str]) -> None:
    server, host = request.scope.get("server"), request.headers.get("host")
    if not server or host is None or not _is_loopback(server[0]):  # browsers always name a host
        return
    name = _name_of(host)
    if not (name == "localhost" or _is_loopback(name) or name in allowed or "*" in allowed):
        raise CrossSiteRefused(f"the Host of this request is {shown(host)}", _HOSTS)


def _check_origin(request: Request, allowed: Collection[str]) -> None:
    headers = request.headers
    origin = headers.get("origin")
    if origin in allowed or "*" in allowed:
        return
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        raise CrossSiteRefused(f"the Origin of this request is {shown(origin)}", _ORIGINS)
    if headers.get("sec-fetch-site") == "cross-site":
        raise CrossSiteRefused("Sec-Fetch-Site of this request is cross-site", _ORIGINS)


def _check_token(request: Request, session: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), csrf_token(session).encode()):
        raise CrossSiteRefused(f"{CSRF_HEADER} is {'wrong' if given else 'missing'}", TOKEN_NEEDED)


@lru_cache(maxsize=256)
def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
