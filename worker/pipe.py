"""The reading end of an engine's report pipe: bytes to reports, with nothing taken on trust."""

import os
from collections.abc import Iterator

from pydantic import ValidationError

from lowland.spec.reports import MAX_LINE_BYTES, Report, read_report

#: Bytes read at once.
_CHUNK = 64 * 1024
#: How much of a wrong line is quoted.
_QUOTED = 200


class Garbage(Exception):
    """A line is no report; `quote` shows its beginning."""

    def __init__(self, line: bytes) -> None:
        self.quote = repr(line[:_QUOTED].decode("utf-8", "backslashreplace"))
        super().__init__(f"no report: {self.quote}")


class ReportPipe:
    """Reads reports as they come. A last line without its end was cut by the engine's death and is dropped."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.at_end = False
        self._rest = b""
        os.set_blocking(descriptor, False)

    def read(self) -> Iterator[Report]:
        """What has arrived, one chunk at most; never blocks. Sets `at_end` once the engine has closed its end.

        Raises:
            Garbage: a line is no report, or is too long to be one.
        """
        try:
            chunk = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return
        self.at_end = not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield self._parse(line)
        if len(self._rest) > MAX_LINE_BYTES:
            raise Garbage(self._rest)

    def close(self) -> None:
        """Close the pipe; an engine that goes on writing gets SIGPIPE."""
        os.close(self.descriptor)

    def _parse(self, line: bytes) -> Report:
        try:
            return read_report(line)
        except ValidationError as error:
            raise Garbage(line) from error
