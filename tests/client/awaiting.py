"""The asyncio client as a blocking one, so that every test of the one is a test of the other."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from lowland import AsyncClient, Client


class _Awaiting:
    """Every method of an `AsyncClient`, waited for."""

    def __init__(self, client: AsyncClient, portal: BlockingPortal) -> None:
        self._client = client
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if inspect.isasyncgenfunction(method):
            return partial(self._through, method)
        if inspect.iscoroutinefunction(method):
            return lambda *args, **options: self._portal.call(partial(method, *args, **options))
        return method

    def _through(self, method: Callable[..., Any], *args: Any, **options: Any) -> Iterator[Any]:
        generator = method(*args, **options)

        async def following() -> list[Any]:
            return [item] if (item := await anext(generator, self)) is not self else []

        try:
            while found := self._portal.call(following):
                yield from found
        finally:
            self._portal.call(generator.aclose)


@contextmanager
def awaiting(*args: Any, backend: str = "asyncio", **options: Any) -> Iterator[Client]:
    """An `AsyncClient` made from these, which looks like a `Client`."""

    async def opened() -> AsyncClient:
        return AsyncClient(*args, **options)

    with start_blocking_portal(backend) as portal:
        client = portal.call(opened)
        try:
            yield cast("Client", _Awaiting(client, portal))
        finally:
            portal.call(client.close)
