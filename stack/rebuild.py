"""`lowland rebuild`: the ledger brought back from the artifact store, in a Redis run for that or a named one."""

from dataclasses import dataclass
from pathlib import Path

from ledger import OtherStore
from ledger.rebuilding import Rebuilt
from ledger.rebuilding import rebuild as rebuild_ledger
from stack.errors import StoreUnusable
from stack.opened import opened_ledger


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
    with opened_ledger(options.data_dir, options.redis_url) as ledger:
        try:
            return rebuild_ledger(ledger, root)
        except (OSError, OtherStore) as error:
            raise StoreUnusable(root, str(error)) from error
