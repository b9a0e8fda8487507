"""The ledger for a command: of a Redis that is named, or of a data folder, whose Redis is started where none runs."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ledger import Ledger
from stack.errors import FolderInUse
from stack.folder import data_folder
from stack.output import Output
from stack.rooms import valkey
from stack.serve import answers_soon, check_ledger, open_ledger, place_of
from stack.supervisor import Supervisor
from stack.valkey import prepare, running_url


@contextmanager
def opened_ledger(data_dir: Path, redis_url: str | None) -> Generator[Ledger]:
    """The ledger of the Redis at the URL, or else of the data folder, which no server may work in.

    Raises:
        CannotServe: something about the machine or the options does not allow it.
        ChildKeepsDying: the data folder's Redis did not come up.
    """
    if redis_url is not None:
        with _named(redis_url) as ledger:
            yield ledger
        return
    logging.basicConfig(level=logging.ERROR)  # if the server does not come up, the error says so
    with data_folder(data_dir) as folder, open(os.devnull, "wb") as nowhere, Output(nowhere.fileno()) as output:
        server = prepare(folder)
        house = Supervisor(output)
        try:
            with open_ledger(server.url) as ledger:
                house.add(valkey(server, folder))
                answers_soon(ledger, house, stop_wished=lambda: False)
                yield ledger
        finally:
            house.stop(lambda: False)


@contextmanager
def shared_ledger(data_dir: Path, redis_url: str | None) -> Generator[Ledger]:
    """The same, but where a server works in the data folder, with it."""
    url = redis_url or _in_use(data_dir)
    with opened_ledger(data_dir, url) as ledger:
        yield ledger


@contextmanager
def _named(url: str) -> Generator[Ledger]:
    with open_ledger(url) as ledger:
        check_ledger(ledger, place_of(url))
        yield ledger


def _in_use(data_dir: Path) -> str | None:
    """Where the Redis of a server is that works in the folder."""
    try:
        with data_folder(data_dir):
            return None
    except FolderInUse:
        if url := running_url(data_dir.expanduser().absolute() / "valkey"):
            return url
        raise
