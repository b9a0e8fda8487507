"""Keepers' hands in a test, against a real ledger."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis

from ledger import Ledger
from tests.ledger.playing import STORE
from tests.waiting import until
from worker.chores import Chores
from worker.settings import KeeperSettings


@contextmanager
def doing(ledger: Ledger, redis_url: str, root: Path, **settings: Any) -> Iterator[Chores]:
    """A keeper's chores, turned by hand."""
    named = KeeperSettings(redis_url=redis_url, redis_prefix=ledger.keys.prefix, artifact_dir=root, **settings)
    mark = root / "store.json"
    if not mark.exists():
        root.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps({"id": STORE}))
    with Ledger(redis_url, ledger.keys) as own:  # each keeper has its own connections
        chores = Chores(own, named)
        try:
            yield chores
        finally:
            chores.stop()


@contextmanager
def working(ledger: Ledger, redis_url: str, root: Path, *, keepers: int = 1, **settings: Any) -> Iterator[None]:
    """Keepers that do what is due as soon as it is, each in its own thread."""
    done = threading.Event()

    def work() -> None:
        with doing(ledger, redis_url, root, **settings) as chores:
            while not done.wait(0.005):
                chores.start_due()

    threads = [threading.Thread(target=work) for _ in range(keepers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def left(redis_url: str, ledger: Ledger, kind: str) -> dict[str, int]:
    """The chores of a kind that are still to be done, and how often each has failed."""
    keys = ledger.keys
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        failures = cast("dict[str, str]", client.hgetall(keys.key("failures", kind)))
        names = cast("list[str]", client.zrange(keys.key("chores", kind), 0, -1))
        return {name: int(failures.get(name, 0)) for name in names}


def until_done(redis_url: str, ledger: Ledger, kind: str) -> None:
    """Wait until nothing of a kind is left to do."""
    until(lambda: not left(redis_url, ledger, kind), f"no chore is left: {kind}")
