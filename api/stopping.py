"""Knowing early that the process is told to stop.

A server waits for open answers before the app's lifespan ends; answers that would never end by themselves are ended by
this.
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop() -> Generator[asyncio.Event]:
    """An event that is set when a signal tells the process to stop; the server does what it does about it as before."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():  # signals are not for this thread
        yield stopping
        return
    former = {number: signal.getsignal(number) for number in _SIGNALS}

    def tell(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        handler = former[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in _SIGNALS:
        signal.signal(number, tell)
    try:
        yield stopping
    finally:
        for number, handler in former.items():
            if signal.getsignal(number) is tell:
                signal.signal(number, handler)
