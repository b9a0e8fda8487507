"""A job's history as the ledger and the artifact store have it together."""

from pathlib import Path
from typing import Final

import anyio.to_thread

from api.errors import HistoryLost
from ledger import AsyncLedger
from ledger.history import History, Position, get_history
from ledger.packing import read_record

#: Entries of each kind that are read at once; as many points as the ledger keeps of a job that runs.
MOST: Final = 10_000


async def history_after(
    ledger: AsyncLedger, root: Path, job_id: str, after: Position, *, owner: str, most: int = MOST
) -> History:
    """What has happened to a job after a position. The store is looked into only for what the ledger has not.

    Raises:
        JobNotFound: no job of the owner has this id.
        HistoryLost: the job is finished, and its record is not in this store.
    """
    history = await ledger.run(get_history(job_id, after, most=most, owner=owner))
    if history.is_whole:
        return history
    try:
        record = await anyio.to_thread.run_sync(read_record, root, job_id)
    except (OSError, ValueError) as error:
        raise HistoryLost(job_id) from error
    if record is None and history.is_packed:
        raise HistoryLost(job_id)
    return history.completed(record)
