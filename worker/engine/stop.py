"""Stopping on request: SIGTERM raises a flag, and the loop looks at it where its state is whole."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):  # an ending, not an error
    """The run was asked to stop; raised only between two steps."""


class StopFlag:
    """Raised once, looked at often."""

    def __init__(self) -> None:
        self._raised = False

    def set(self) -> None:
        """Ask the run to stop at the next opportunity."""
        self._raised = True

    @property
    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._raised

    def check(self) -> None:
        """Raise `Stopped` if the run was asked to stop."""
        if self._raised:
            raise Stopped


@contextmanager
def stop_on_sigterm() -> Iterator[StopFlag]:
    """A flag that SIGTERM sets for as long as the block runs. Main thread only."""
    flag = StopFlag()

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        flag.set()

    previous = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, previous)
