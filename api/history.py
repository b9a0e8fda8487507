"""A job's history as the ledger and the artifact store have it together, and how it goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio.to_thread

from api.errors import HistoryLost
from api.following import Stay, first_of
from ledger import AsyncLedger, JobNotFound, LedgerUnavailable
from ledger.history import History, Position, get_history
from ledger.packing import read_record

#: Entries of each kind that are read at once; as many points as the ledger keeps of a job that runs.
MOST: Final = 10_000
#: And by whoever follows, who reads on.
MOST_AT_ONCE: Final = 1000
#: The pause between two looks at a job that changes all the time.
PAUSE_S: Final = 0.2
#: The pause before looking again while Redis is away.
AWAY_S: Final = 1.0


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


class Follower:
    """One connection that follows a job.

    Args:
        ledger: has its history, together with the store.
        root: of the artifact store.
        job_id: which job.
        owner: whose it must be; empty for anybody's.
        stay: says how long.
    """

    def __init__(self, ledger: AsyncLedger, root: Path, job_id: str, *, owner: str, stay: Stay) -> None:
        self.job_id: Final = job_id
        self.owner: Final = owner
        self._ledger = ledger
        self._root = root
        self._stay = stay

    async def history(self, after: Position, *, most: int = MOST_AT_ONCE) -> History:
        """What has happened after a position, as much as is read at once.

        Raises:
            JobNotFound: no job of the owner has this id.
            HistoryLost: the job is finished, and its record is not in this store.
        """
        return await history_after(self._ledger, self._root, self.job_id, after, owner=self.owner, most=most)

    async def parts(self, history: History) -> AsyncIterator[History | None]:
        """A first part of the history, then what comes, part by part, to the job's end (`History.is_end`); less when
        the job is deleted, its record is lost, or the follower may not stay.

        A part has nothing in it where nothing has come for some time, and is None where the ledger is away.
        """
        part: History | None = history
        after, loop, stopping = history.after, asyncio.get_running_loop(), self._stay.stopping
        with self._ledger.changes.of(self.job_id) as woken:
            woken.set()  # it may have changed since this was read
            looked_at = loop.time()
            while await self._stay.lasts():
                yield part
                if part is None:
                    await first_of(stopping, within_s=AWAY_S)
                elif part.is_end:
                    return
                elif part.is_packed:  # this was all; the record is not read again to see that
                    part = part.done
                    continue
                else:
                    after = part.end
                    has_more = max(len(part.events), len(part.points)) >= MOST_AT_ONCE
                    if not (has_more or part.status.terminal):
                        await first_of(woken, stopping, within_s=self._stay.look_s)
                        await first_of(stopping, within_s=looked_at + PAUSE_S - loop.time())
                looked_at = loop.time()
                woken.clear()
                try:
                    part = await self.history(after)
                except (JobNotFound, HistoryLost):
                    return
                except LedgerUnavailable:
                    part = None
