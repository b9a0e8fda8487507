"""A way to a server on which what is sent can vanish, as on a network whose other end is gone without a word."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Self
from urllib.parse import urlsplit


class Hole:
    """A proxy before a server on this machine.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self.connections = 0
        self._port = port
        self._swallowed = 0
        self._seen = b""
        self._came = asyncio.Event()
        self._serving = set[asyncio.Task[None]]()

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncGenerator[Self]:
        """One before the Redis with this URL, while the context is open."""
        hole = cls(urlsplit(url).port or 0)
        server = await asyncio.start_server(hole._begin, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        hole.url = urlsplit(url)._replace(netloc=f"127.0.0.1:{port}").geturl()
        try:
            yield hole
        finally:
            server.close()
            for serving in hole._serving:
                serving.cancel()
            await asyncio.gather(*hole._serving, return_exceptions=True)

    def swallow(self) -> None:
        """Pass on nothing any more that comes over the connections that are open now, and say nothing of it."""
        self._swallowed = self.connections

    async def sent(self, text: bytes, *, times: int) -> None:
        """Wait until clients have sent this so many times."""
        while self._seen.count(text) < times:
            self._came.clear()
            await self._came.wait()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            with suppress(ConnectionError):  # one side has hung up
                await asyncio.gather(
                    self._pass(number, reader, far_writer, note=True), self._pass(number, far_reader, writer)
                )
        finally:
            far_writer.close()
            writer.close()

    async def _pass(
        self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, note: bool = False
    ) -> None:
        while data := await source.read(65_536):
            if note:
                self._seen += data
                self._came.set()
            if number > self._swallowed:
                sink.write(data)
                await sink.drain()
        sink.close()
