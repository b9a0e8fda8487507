"""The C library's memory: kept by the process instead of given back and asked for again at every step.

Activations are a few megabytes each. By default glibc takes such pieces from the system and returns them when they are
freed, and every page of them is zeroed again the next time: 6 % of a step of a small network.
"""

import ctypes
import sys
from typing import Final

#: mallopt's parameters (malloc.h): the free memory at the top that is kept, what is asked for in advance, and the size
#: from which a piece is the system's own.
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3

#: Kept at the top, in bytes: as good as all of it.
_KEPT: Final = 2**31 - 1
#: Asked for at a time, in bytes.
_PAD: Final = 64 * 2**20
#: The most glibc takes for it, in bytes.
_LARGEST_PIECE: Final = 32 * 2**20


def keep_freed_memory() -> None:
    """Tell glibc; without effect where the C library is another one."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_TOP_PAD, _PAD)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE)
