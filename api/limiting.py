"""How many requests a key is good for: counted in Redis, so that every API process counts the same."""

import math
import time
from typing import Any, Final

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.errors import RateLimited
from ledger import Keys, LedgerUnavailable
from ledger.address import Address
from ledger.connection import CONNECTIONS, TIMEOUT_S


class Rates:
    """Counts requests by key.

    A sliding window of two counters: its memory does not grow with the rate, and no minute begins with a burst of twice
    the rate as a fixed window's does.

    Args:
        url: of the server.
        keys: the prefix to work under.
    """

    def __init__(self, url: str, keys: Keys) -> None:
        self._pool: Final = Address.read(url).async_pool(
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        )
        options: dict[str, Any] = {"connection_pool": self._pool}  # typed as if it were text
        storage = RedisStorage(
            "redis://",  # the pool knows where
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=keys.key("rates"),
            **options,
        )
        self._limiter: Final = SlidingWindowCounterRateLimiter(storage)

    async def count(self, key_id: str, rate: str) -> None:
        """Count a request.

        Raises:
            RateLimited: it is one too many.
            LedgerUnavailable: Redis does not answer.
        """
        limit = parse(rate)
        try:
            if not await self._limiter.hit(limit, key_id):
                raise RateLimited(rate, await self._wait_s(limit, key_id))
        except StorageError as error:
            raise LedgerUnavailable(f"Redis does not answer: {error.storage_error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _wait_s(self, limit: RateLimitItem, key_id: str) -> int:
        stats = await self._limiter.get_window_stats(limit, key_id)
        return max(1, math.ceil(stats.reset_time - time.time()))
