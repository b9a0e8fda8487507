"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys
from typing import Final

#: prctl's option that asks for a signal when the parent dies (Linux).
_PR_SET_PDEATHSIG: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Be killed when the parent dies, also if it has died already. To be called in the child."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
