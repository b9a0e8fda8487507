"""Where Redis is: `LOWLAND_REDIS_URL`, read in this one place for all who connect.

    redis://USER:PASSWORD@HOST:PORT/DATABASE
    rediss://...                               by TLS
    unix://USER:PASSWORD@/PATH?db=DATABASE
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?service=NAME
                                               the master of that name, as the Sentinels know it
    rediss+sentinel://...                      by TLS, to Sentinels and master alike

User and password are percent-encoded, and are the server's; Sentinels that want some are given `sentinel_username` and
`sentinel_password` behind the `?`, percent-encoded too: a `+` is no space. The parameters of TLS are named as in
redis-py.

redis-py is given pools, and `limits` goes through redis-py; kombu is given a URL of its own kind, and options.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

#: What is said to whoever gave something else.
FORMS: Final = (
    "give redis://HOST:PORT/DATABASE, rediss://... for TLS, unix:///PATH?db=DATABASE, or "
    "redis+sentinel://HOST:PORT,HOST:PORT/DATABASE?service=NAME, with USER:PASSWORD@ before the first host if need be"
)
SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
#: Certificates asked of the server: by default one that is signed by a known authority, for the host's name.
_CERT_REQS: Final = ("required", "optional", "none")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
#: What Python would leave out of a URL without a word.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How kombu, and so Celery, is told."""

    url: str = field(repr=False)
    tls: Mapping[str, Any] | None
    """What `broker_use_ssl` is set to."""
    options: Mapping[str, Any] = field(repr=False)
    """Belong to `broker_transport_options`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A Redis, or the Sentinels that know which one it is."""

    options: Mapping[str, Any] = field(repr=False)
    """For each connection to it, in redis-py's words."""
    host: str = ""
    port: int = _PORT
    path: str = ""
    """Of a socket; there is no host then."""
    tls: Mapping[str, Any] | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    """What the Sentinels call it."""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @classmethod
    def read(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it is none of the forms above. Says which part is wrong and quotes none: in a URL that is
                mistyped a password may stand anywhere.
        """
        try:
            return cls._read(_split(url))
        except ValueError as error:
            raise ValueError(f"{error}; {FORMS}") from None

    @classmethod
    def _read(cls, url: SplitResult) -> Self:
        if url.fragment or "@" in url.path + url.query:
            raise ValueError("user, password and parameters are to be percent-encoded")
        by_sentinel, by_tls = url.scheme.endswith("+sentinel"), url.scheme.startswith("rediss")
        said = _parameters(url, by_sentinel=by_sentinel, by_tls=by_tls)
        user, _, hosts = url.netloc.rpartition("@")
        options = _user(user) | {"db": _database(url, said)}
        tls = {name: value for name, value in said.items() if name.startswith("ssl_")} if by_tls else None
        if url.scheme == "unix":
            if hosts or len(url.path) < 2:
                raise ValueError("a socket's path starts with / and stands behind unix://")
            return cls(options=options, path=unquote(url.path))
        if not by_sentinel:
            host, port = _host(hosts, _PORT)
            return cls(options=options, tls=tls, host=host, port=port)
        if not said.get("service"):
            raise ValueError("the parameter `service` is missing, the name that the Sentinels have for the master")
        own = {name: said[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in said}
        return cls(
            options=options,
            tls=tls,
            sentinels=tuple(_host(host, _SENTINEL_PORT) for host in hosts.split(",")),
            service=said["service"],
            sentinel_options=own | (tls | {"ssl": True} if tls is not None else {}),
        )

    def blocking_pool(self, **options: Any) -> redis.ConnectionPool:
        """Connections for threads.

        Args:
            options: of each connection, as redis-py has them.
        """
        if not self.sentinels:
            kinds = redis.Connection, redis.SSLConnection, redis.UnixDomainSocketConnection
            return redis.ConnectionPool(**self._to_server(*kinds), **options)
        kinds = redis.sentinel.SentinelManagedConnection, redis.sentinel.SentinelManagedSSLConnection
        sentinels = redis.sentinel.Sentinel(self.sentinels, sentinel_kwargs=self._to_sentinels(options))
        return _Pool(self.service, sentinels, **self._to_server(*kinds), **options)

    def async_pool(self, **options: Any) -> redis.asyncio.BlockingConnectionPool:
        """Connections for one event loop; who finds all of them in use waits.

        Args:
            options: of the pool and of each connection, as redis-py has them.
        """
        if not self.sentinels:
            kinds = redis.asyncio.Connection, redis.asyncio.SSLConnection, redis.asyncio.UnixDomainSocketConnection
            return redis.asyncio.BlockingConnectionPool(**self._to_server(*kinds), **options)
        kinds = (
            redis.asyncio.sentinel.SentinelManagedConnection,
            redis.asyncio.sentinel.SentinelManagedSSLConnection,
        )
        sentinels = redis.asyncio.sentinel.Sentinel(self.sentinels, sentinel_kwargs=self._to_sentinels(options))
        known = {"service_name": self.service, "sentinel_manager": sentinels}
        return _AsyncPool(**known, **self._to_server(*kinds), **options)

    def broker(self, **options: Any) -> Broker:
        """The same for kombu.

        Args:
            options: of kombu's transport, for each connection.
        """
        user, password = (quote(self.options.get(name, ""), safe="") for name in ("username", "password"))
        who = f"{user}:{password}@" if user or password else ""
        # kombu's own default is a certificate of whomsoever
        tls = None if self.tls is None else {"ssl_cert_reqs": "required", **self.tls}
        if self.path:
            url = f"redis+socket://{who}{quote(self.path)}?virtual_host={self.options['db']}"
            return Broker(url=url, tls=tls, options=options)
        if not self.sentinels:
            return Broker(url=_kombu_url("redis", who, self.host, self.port, self.options), tls=tls, options=options)
        urls = [_kombu_url("sentinel", who, host, port, self.options) for host, port in self.sentinels]
        patience = {**options, "retry": Retry(NoBackoff(), 0)}
        known = {"master_name": self.service, "sentinel_kwargs": self._to_sentinels(patience)}
        return Broker(url=";".join(urls), tls=tls, options=options | known)

    def __str__(self) -> str:
        """For people: no secret is in it."""
        if self.path:
            return self.path
        hosts = ", ".join(f"{host}:{port}" for host, port in self.sentinels or ((self.host, self.port),))
        return f"{self.service} of the Sentinels {hosts}" if self.sentinels else hosts

    def _to_server(self, plain: Any, by_tls: Any, by_socket: Any = None) -> dict[str, Any]:
        kind = by_socket if self.path else plain if self.tls is None else by_tls
        where: dict[str, Any] = {"path": self.path} if self.path else {"host": self.host, "port": self.port}
        found = {} if self.sentinels else where  # else by the connection itself, each time
        return {"connection_class": kind, **found, **self.options, **(self.tls or {})}

    def _to_sentinels(self, options: Mapping[str, Any]) -> dict[str, Any]:
        # as patient as with the server: else one that is gone is tried for seconds before the next is
        kept = {name: value for name, value in options.items() if name.startswith("socket_") or name == "retry"}
        return {**kept, **self.sentinel_options}


class _Pool(redis.sentinel.SentinelConnectionPool):
    """Closes the connections to the Sentinels too."""

    def close(self) -> None:
        super().close()
        self.sentinel_manager.close()  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed


class _AsyncPool(redis.asyncio.BlockingConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool):
    """Waits for a free connection, as the one does, to whom the Sentinels name, as the other does."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.partition(":")
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme is not one of {', '.join(SCHEMES)}")
    if not rest.startswith("//"):
        raise ValueError(f"// is missing behind {scheme}:")
    if _CONTROLS.search(url):
        raise ValueError("a line break or another control character is to be percent-encoded")
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError("user, password or host cannot be read") from None


def _file(path: str) -> str:
    if not os.access(path, os.R_OK):
        raise ValueError("the file cannot be read")
    return path


def _cert_reqs(word: str) -> str:
    if word not in _CERT_REQS:
        raise ValueError(f"is not one of {', '.join(_CERT_REQS)}")
    return word


def _yes(word: str) -> bool:
    if word not in {"true", "false"}:
        raise ValueError("is not true or false")
    return word == "true"


_TLS: Final[Mapping[str, Callable[[str], Any]]] = {
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_password": str,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_check_hostname": _yes,
}
_OF_SENTINELS: Final[Mapping[str, Callable[[str], Any]]] = {
    "service": str,
    "sentinel_username": str,
    "sentinel_password": str,
}


def _parameters(url: SplitResult, *, by_sentinel: bool, by_tls: bool) -> dict[str, Any]:
    known = {"db": str} | (_TLS if by_tls else {}) | (_OF_SENTINELS if by_sentinel else {})
    read: dict[str, Any] = {}
    for number, parameter in enumerate(filter(None, url.query.split("&")), start=1):
        name, _, value = (unquote(part) for part in parameter.partition("="))
        if name not in known:
            raise ValueError(f"parameter {number} is none of those of {url.scheme}, which are {', '.join(known)}")
        try:
            read[name] = known[name](value)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None
    return read


def _user(user: str) -> dict[str, str]:
    name, _, password = (unquote(part) for part in user.partition(":"))
    return {key: value for key, value in (("username", name), ("password", password)) if value}


def _database(url: SplitResult, said: Mapping[str, Any]) -> int:
    number = said.get("db", "" if url.scheme == "unix" else url.path.removeprefix("/")) or "0"
    if not re.fullmatch(r"[0-9]{1,5}", number):
        raise ValueError("the database is no number")
    return int(number)


def _host(host: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        if parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("a host or its port, from 1 to 65535, cannot be read") from None
    return str(parts.hostname or "127.0.0.1"), parts.port or port


def _kombu_url(scheme: str, who: str, host: str, port: int, options: Mapping[str, Any]) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{who}{name}:{port}/{cast('int', options['db'])}"
