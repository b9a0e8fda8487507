"""Telling streams that the process is to stop: uvicorn by itself only waits for them, and then cuts them off."""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_to_stop() -> Generator[asyncio.Event]:
    """An event that is set as soon as SIGTERM or SIGINT comes; whoever handled those before handles them still.

    Use it in the event loop. Away from the main thread, as in tests, it is never set.
    """
    stopping = asyncio.Event()
    former = _listen(stopping) if threading.current_thread() is threading.main_thread() else {}
    try:
        yield stopping
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _listen(stopping: asyncio.Event) -> dict[signal.Signals, signal.Handlers]:
    loop = asyncio.get_running_loop()
    former = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):

            def pass_on(number: int, frame: FrameType | None, handler=handler) -> None:
                loop.call_soon_threadsafe(stopping.set)
                handler(number, frame)

            former[number] = signal.signal(number, pass_on)
    return former
