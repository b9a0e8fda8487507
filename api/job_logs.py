"""A job's logs as text: what its engine has printed, and what has happened to it, line by line.

The engine's log is a file in its run's folder, read from its end and never whole. Events are in Redis while they are
fresh, and in the job's record once that is in the artifact store.
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
from ledger import AsyncLedger, JobNotFound, LedgerUnavailable
from ledger.documents import time_of
from ledger.packing import Entry, read_record
from ledger.past import Past, PastRun, past
from ledger.store import ENGINE_LOG, run_folder

#: How often a log that is followed is looked at.
POLL_S: Final = 0.5
#: What is read at once, and the most that lines from the end are looked for in.
_PIECE_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 8 * 1024 * 1024
#: Events that are read at once; a job keeps about so many.
_MOST_EVENTS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLogs:
    """The logs of one job.

    Args:
        ledger: knows its runs and events.
        root: of the artifact store.
        job_id: whose.
        stopping: set when the process is to stop: nothing is followed any longer.
    """

    ledger: AsyncLedger
    root: Path
    job_id: str
    stopping: asyncio.Event

    async def engine(self, attempt: int | None, tail: int) -> "EngineLog":
        """What the engine has printed in the latest run of an attempt, or of all.

        Raises:
            JobNotFound: no job has this id.
            LogMissing: there is no such attempt, or its log is not in this store.
        """
        seen = await self.ledger.run(past(self.job_id, most=1))
        run = seen.run_of(attempt)
        if run is None:
            if attempt is not None:
                raise LogMissing(self.job_id, f"it has had no attempt {attempt}")
            return EngineLog(self, attempt, None, b"", 0)
        try:
            text, end = await to_thread.run_sync(read_tail, self.path_of(run), tail)
        except FileNotFoundError as error:
            if run.began and run.ended:
                raise LogMissing(self.job_id, f"the log of its run {run.token} is not there") from error
            text, end = b"", 0
        return EngineLog(self, attempt, run, text, end)

    async def events(self) -> list[Entry]:
        """What has happened to the job, as far as it is known.

        Raises:
            JobNotFound: no job has this id.
            LogMissing: it is in a record that cannot be read here.
        """
        seen = await self.ledger.run(past(self.job_id, most=_MOST_EVENTS))
        try:
            record = await to_thread.run_sync(read_record, self.root, self.job_id)
        except (OSError, ValueError) as error:
            raise LogMissing(self.job_id, f"its record cannot be read: {error}") from error
        if record is None and not seen.events:
            raise LogMissing(self.job_id, "its record is not there")
        have = {event[0] for event in seen.events}
        return [*(event for event in (record.events if record else []) if event[0] not in have), *seen.events]

    async def follow_events(self, events: Sequence[Entry]) -> AsyncIterator[str]:
        """The lines of some events, then of those that happen, until the job has come to its end."""
        yield event_lines(events)
        after = events[-1][0]
        with suppress(JobNotFound):  # it was deleted meanwhile
            while not self.stopping.is_set():
                seen = await self.look(after)
                if seen is not None and seen.events:
                    after = seen.events[-1][0]
                    yield event_lines(seen.events)
                if seen is not None and seen.status.terminal:
                    return
                await self.pause()

    async def look(self, after: str = "") -> Past | None:
        """The job's past, while it is followed; None where Redis does not answer just now."""
        try:
            return await self.ledger.run(past(self.job_id, after=after))
        except LedgerUnavailable:
            return None

    async def pause(self) -> None:
        """Until it is time to look again, or to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), POLL_S)

    def path_of(self, run: PastRun) -> Path:
        """The file of a run's log."""
        return run_folder(self.root, self.job_id, run.token) / ENGINE_LOG


class EngineLog:
    """The end of an engine's log, and from there on what follows.

    Args:
        logs: of the job.
        attempt: only this one is followed; None goes on with the next.
        run: whose log it is; None where there is none yet.
        text: its last lines.
        end: where they end in the file.
    """

    def __init__(self, logs: JobLogs, attempt: int | None, run: PastRun | None, text: bytes, end: int) -> None:
        self._logs = logs
        self._attempt = attempt
        self._run = run
        self._end = end
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = text

    @property
    def text(self) -> str:
        """The last lines."""
        return self._text.decode(errors="replace")

    async def follow(self) -> AsyncIterator[str]:
        """The last lines, then what is printed, until the job or the attempt has come to its end."""
        yield self._decoder.decode(self._text)
        with suppress(JobNotFound):  # it was deleted meanwhile
            while not self._logs.stopping.is_set():
                seen = await self._logs.look()
                # what had ended by then has printed everything
                async for text in self._printed():
                    yield text
                if seen is not None:
                    run = seen.run_of(self._attempt)
                    if run is not None and (self._run is None or run.token != self._run.token):
                        self._run, self._end = run, 0
                        continue
                    if seen.status.terminal or (self._attempt is not None and run is not None and run.ended):
                        return
                await self._logs.pause()

    async def _printed(self) -> AsyncIterator[str]:
        """What the file has beyond what was read."""
        while self._run is not None:
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


def event_lines(events: Sequence[Entry]) -> str:
    """Events as JSON, a line each."""
    return "".join(json.dumps(_event(*event), ensure_ascii=False) + "\n" for event in events)


def _event(event_id: str, said: dict[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {"id": event_id, "at": time_of(said["at_ms"]).isoformat(), "event": said["event"]}
    for name, value in said.items():
        if value and name not in {"at_ms", "event"}:
            line[name] = int(value) if name == "token" else json.loads(value) if name == "notice" else value
    return line
