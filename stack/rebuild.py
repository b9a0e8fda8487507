"""`lowland rebuild`: the ledger brought back from the artifact store, in a Redis run for that or a named one."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger import Ledger, OtherStore
from ledger.rebuilding import Rebuilt
from ledger.rebuilding import rebuild as rebuild_ledger
from stack.errors import StoreUnusable
from stack.folder import data_folder
from stack.output import Output
from stack.rooms import valkey
from stack.serve import answers_soon, check_ledger, open_ledger
from stack.supervisor import Supervisor
from stack.valkey import prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `lowland rebuild` was asked for."""

    data_dir: Path
    redis_url: str | None
    """A Redis to use; None starts the one of the data folder."""
    artifact_dir: Path | None
    """The artifact store; None means the data folder's."""


def rebuild(options: Options) -> Rebuilt:
    """Bring back every finished job that the artifact store has a record of.

    Raises:
        CannotServe: something about the machine or the options does not allow it; nothing was changed.
        ChildKeepsDying: the data folder's Redis did not come up.
        LedgerUnavailable: Redis went away; what was brought back so far stays.
    """
    root = (options.artifact_dir or options.data_dir / "artifacts").expanduser().absolute()
    if not (root / "store.json").is_file():  # before a data folder is made that nobody has
        raise StoreUnusable(root, "it has no store.json")
    with _opened(options) as ledger:
        try:
            return rebuild_ledger(ledger, root)
        except (OSError, OtherStore) as error:
            raise StoreUnusable(root, str(error)) from error


@contextmanager
def _opened(options: Options) -> Generator[Ledger]:
    if options.redis_url is not None:
        with open_ledger(options.redis_url) as ledger:
            check_ledger(ledger, options.redis_url)
            yield ledger
        return
    logging.basicConfig(level=logging.ERROR)  # if the server does not come up, the error says so
    with (
        data_folder(options.data_dir) as folder,
        open(os.devnull, "wb") as nowhere,
        Output(nowhere.fileno()) as output,
    ):
        server = prepare(folder)
        house = Supervisor(output)
        try:
            with open_ledger(server.url) as ledger:
                house.add(valkey(server, folder))
                answers_soon(ledger, house, stop_wished=lambda: False)
                yield ledger
        finally:
            house.stop(lambda: False)
