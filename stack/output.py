"""What the house says on standard error: lines of the children and its own log, in the order they came.

A thread does the writing, so that the supervisor never waits for whoever reads: when nobody does, lines are counted
and dropped, and the children go on.
"""

import logging
import os
import queue
import threading
from contextlib import suppress
from typing import Final, Self

#: Lines kept for a reader that is slower than the house, before some are dropped.
BACKLOG_LINES: Final = 10_000
#: How long the end of the house waits for the last lines to be read.
FLUSH_S: Final = 1.0


class Output:
    """Lines on their way to a descriptor. Use as a context manager; leaving it writes what is left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        #: None ends it.
        self._lines: queue.Queue[bytes | None] = queue.Queue(BACKLOG_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="output", daemon=True)

    def line(self, text: bytes) -> None:
        """Write one line, soon; never blocks."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(queue.Full):
            self._lines.put(None, timeout=FLUSH_S)
        self._thread.join(FLUSH_S)

    def _write_lines(self) -> None:
        with suppress(OSError):  # the reader is gone, and with it whoever could be told
            while (text := self._lines.get()) is not None:
                self._write(text + b"\n")
                if self._dropped and self._lines.empty():
                    dropped, self._dropped = self._dropped, 0
                    self._write(b"(%d lines were dropped: nobody read them)\n" % dropped)

    def _write(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._descriptor, text) :]


class OutputHandler(logging.Handler):
    """Sends log records to an output."""

    def __init__(self, output: Output, formatter: logging.Formatter) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on as one line."""
        self._output.line(self.format(record).encode())
