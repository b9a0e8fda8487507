"""The two ways to run a call of the ledger: blocking and asyncio. Everything else is shared."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError
from redis.retry import Retry as BlockingRetry

from ledger.address import Address
from ledger.calls import Answer, Call, Instead
from ledger.changes import Changes
from ledger.errors import LedgerUnavailable, LedgerUnusable
from ledger.keys import SCHEMA, Keys, check_schema
from ledger.pipelining import Pipeliner
from ledger.scripts import script_names, script_text

T = TypeVar("T")

#: The oldest server whose commands suffice.
MIN_VERSION: Final = (6, 2)
#: How long a command may take before the server counts as away. Scripts take well under a millisecond each.
TIMEOUT_S: Final = 2.0
#: Calls of one event loop that are under way at once; others wait for their turn.
CONNECTIONS: Final = 50
#: How text that came as bytes goes through decoding and back unchanged.
ENCODING_ERRORS: Final = "surrogateescape"


class Ledger:
    """The ledger for whoever may block; threads may share it.

    Retries nothing by itself: whoever calls knows how long it may wait.

    Args:
        url: of the server, in one of the forms that `ledger/address.py` names.
        keys: the prefix to work under.
        timeout_s: for connecting, and for each command.

    Raises:
        ValueError: the URL has none of these forms.
    """

    def __init__(self, url: str, keys: Keys | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.keys: Final = keys or Keys()
        pool = Address.read(url).blocking_pool(
            decode_responses=True,
            encoding_errors=ENCODING_ERRORS,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=BlockingRetry(NoBackoff(), 0),
        )
        self._client: redis.Redis = redis.Redis.from_pool(pool)
        self._scripts = {name: self._client.register_script(script_text(name)) for name in script_names()}

    def run(self, call: Call[T]) -> T:
        """Run one call.

        Raises:
            LedgerUnavailable: the server did not answer or could not write; the call may be repeated.
            LedgerError: what the call's own description says.
        """
        with _translated():
            answer = self._scripts[call.script](keys=_key_names(self.keys, call), args=_arguments(call))
        try:
            return call.read(cast("Answer", answer))
        except Instead as instead:
            return self.run(instead.call)

    def wait_for_submit(self, seconds: int) -> None:
        """Block until a job is queued, or for so long (less than the timeout)."""
        with _translated():
            self._client.blpop([self.keys.key("wake")], seconds)

    def check(self) -> None:
        """Make sure that the server can hold a ledger, and that this one is of our version.

        Raises:
            LedgerUnusable: it cannot, or is not.
            LedgerUnavailable: the server did not answer.
        """
        try:
            self._check()
        except redis.RedisError as error:
            raise LedgerUnusable(f"the server refuses what a ledger needs: {error}") from error

    def _check(self) -> None:
        with _translated():
            info = self._client.info("server")  # pyright: ignore[reportUnknownMemberType]  redis-py is partly typed
            schema_key = self.keys.key("schema")
            self._client.set(schema_key, SCHEMA, nx=True)
            _check_server(info, cast("str", self._client.get(schema_key)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncLedger:
    """The ledger for one event loop. Repeats a call once on a fresh connection, since calls may be repeated.

    Calls that are made at once are sent together.
    """

    def __init__(self, url: str, keys: Keys | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.keys: Final = keys or Keys()
        pool = Address.read(url).async_pool(
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            decode_responses=True,
            encoding_errors=ENCODING_ERRORS,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=AsyncRetry(NoBackoff(), 1),
        )
        self._client: redis.asyncio.Redis = redis.asyncio.Redis.from_pool(pool)
        self._pipeliner = Pipeliner(self._client, {name: script_text(name) for name in script_names()})
        self.changes: Final = Changes(self._client, self.keys.key("changes"))

    async def run(self, call: Call[T]) -> T:
        """Run one call; see `Ledger.run`."""
        with _translated():
            keys, args = _key_names(self.keys, call), _arguments(call)
            answer = await self._pipeliner.run(call.script, keys=keys, args=args)
        try:
            return call.read(answer)
        except Instead as instead:
            return await self.run(instead.call)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _key_names(keys: Keys, call: Call[Any]) -> list[str]:
    return [keys.prefix, *(keys.prefix + name for name in call.lists)]


def _arguments(call: Call[Any]) -> list[bytes | int]:
    """Packed parts are bytes; hiredis, where redis-py uses it, does not write them as `encoding_errors` says."""
    return [arg.encode(errors=ENCODING_ERRORS) if isinstance(arg, str) else arg for arg in call.args]


def _check_server(info: dict[str, Any], schema: str) -> None:
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        raise LedgerUnusable(f"the server is Redis {version}; Lowland needs 6.2 or newer, or Valkey")
    check_schema(schema)


@contextmanager
def _translated() -> Generator[None]:
    """Tell apart, once, what a caller can wait out from what is a mistake of ours."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, MasterDownError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
    except redis.OutOfMemoryError as error:
        raise LedgerUnavailable(f"Redis cannot write: {error}") from error
    except redis.ResponseError as error:
        if str(error).startswith(("MISCONF", "OOM", "NOREPLICAS", "BUSY", "UNBLOCKED")):
            raise LedgerUnavailable(f"Redis cannot write: {error}") from error
        raise
