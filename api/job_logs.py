"""A job's logs as text: what its engine has printed, and what has happened to it, line by line.

The engine's log is a file in its run's folder, read from its end and never whole.
"""

import asyncio
import codecs
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from api.errors import LogMissing
from api.following import LOOK_S, Stay, first_of
from api.history import Follower
from ledger import AsyncLedger, JobNotFound, LedgerUnavailable
from ledger.documents import as_text
from ledger.history import Event, History, PastRun, Runs, Which, get_runs
from ledger.store import ENGINE_LOG, run_folder

#: The runs of a job whatever their attempt.
ALL: Final = Which()
#: How often a log that is followed is looked at.
POLL_S: Final = 0.5
#: What is read at once, and the most that lines from the end are looked for in.
_PIECE_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLogs:
    """What the engines of one job print, one log a run.

    Args:
        ledger: knows its runs.
        root: of the artifact store.
        job_id: whose.
        owner: whose the job must be; empty for anybody's.
        stay: says how long they may be followed.
    """

    ledger: AsyncLedger
    root: Path
    job_id: str
    owner: str
    stay: Stay

    async def of(self, which: Which, tail: int) -> "EngineLog":
        """What was printed in the latest run of those.

        Raises:
            JobNotFound: no job of the owner has this id.
            LogMissing: there is no such run, or its log is not in this store.
        """
        run = (await self.runs()).latest(which)
        if run is None:
            if which != ALL:
                raise LogMissing(self.job_id, f"it has had no {which}")
            return EngineLog(self, which, None, b"", 0)
        try:
            text, end = await to_thread.run_sync(read_tail, self.path_of(run), tail)
        except FileNotFoundError as error:
            if run.began and run.ended:
                raise LogMissing(self.job_id, f"the log of its run {run.token} is not there") from error
            text, end = b"", 0
        return EngineLog(self, which, run, text, end)

    async def runs(self) -> Runs:
        """The job's runs by now.

        Raises:
            JobNotFound: no job of the owner has this id.
        """
        return await self.ledger.run(get_runs(self.job_id, owner=self.owner))

    def path_of(self, run: PastRun) -> Path:
        """The file of a run's log."""
        return run_folder(self.root, self.job_id, run.token) / ENGINE_LOG


class EngineLog:
    """The end of an engine's log, and from there on what follows.

    Args:
        logs: of the job.
        which: only these are followed.
        run: whose log it is; None where there is none yet.
        text: its last lines.
        end: where they end in the file.
    """

    def __init__(self, logs: EngineLogs, which: Which, run: PastRun | None, text: bytes, end: int) -> None:
        self._logs = logs
        self._which = which
        self._run = run
        self._end = end
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = text

    @property
    def text(self) -> str:
        """The last lines."""
        return self._text.decode(errors="replace")

    async def follow(self) -> AsyncIterator[str]:
        """The last lines, then what is printed, until the job, or those runs, have come to their end."""
        yield self._decoder.decode(self._text)
        logs, loop = self._logs, asyncio.get_running_loop()
        look_at = loop.time()
        with suppress(JobNotFound), logs.ledger.changes.of(logs.job_id) as woken:  # it was deleted meanwhile
            while await logs.stay.lasts():
                runs = None
                if woken.is_set() or loop.time() >= look_at:
                    woken.clear()
                    with suppress(LedgerUnavailable):  # looks again after the pause
                        runs = await logs.runs()
                        look_at = loop.time() + LOOK_S
                # what had ended by then has printed everything
                async for text in self._printed():
                    yield text
                if runs is not None:
                    run = runs.latest(self._which)
                    if run is not None and (self._run is None or run.token != self._run.token):
                        self._run, self._end = run, 0
                        woken.set()
                        continue
                    if runs.status.terminal or (self._which != ALL and run is not None and run.ended):
                        return
                await first_of(logs.stay.stopping, within_s=POLL_S)

    async def _printed(self) -> AsyncIterator[str]:
        """What the file has beyond what was read."""
        while self._run is not None and await self._logs.stay.lasts():
            piece = await to_thread.run_sync(_read_piece, self._logs.path_of(self._run), self._end)
            if not piece:
                return
            self._end += len(piece)
            yield self._decoder.decode(piece)


def read_tail(path: Path, lines: int) -> tuple[bytes, int]:
    """The last lines of a file, and where they end; of very long ones only the end.

    Raises:
        FileNotFoundError: it is not there.
    """
    with path.open("rb") as file:
        end = start = file.seek(0, os.SEEK_END)
        pieces: list[bytes] = []
        breaks = 0
        # one more, since the last line ends with one
        while start > 0 and breaks <= lines and end - start < _MOST_BYTES:
            size = min(_PIECE_BYTES, start)
            start = file.seek(start - size)
            pieces.insert(0, file.read(size))
            breaks += pieces[0].count(b"\n")
    parts = b"".join(pieces).split(b"\n")  # not at a carriage return: progress bars write those
    most = lines + 1 if parts[-1] == b"" else lines
    return b"\n".join(parts[-most:]), end


def _read_piece(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(_PIECE_BYTES)
    except FileNotFoundError:  # the engine has not started yet
        return b""


async def follow_events(follower: Follower, history: History) -> AsyncIterator[str]:
    """The lines of some events, then of those that happen, as far as the follower reads on; an empty one where none has
    come, so that the connection is not silent.
    """
    async for part in follower.parts(history):
        if part is None or not (part.events or part.is_end):
            yield "\n"
        else:
            yield event_lines(part.events)


def event_lines(events: Sequence[Event]) -> str:
    """Events as JSON, a line each."""
    return "".join(json.dumps(_line(event), ensure_ascii=False) + "\n" for event in events)


def _line(event: Event) -> dict[str, Any]:
    details = {name: value for name, value in event.details.items() if value}
    return {"id": event.id, "at": as_text(event.at), "event": event.name, **details}
