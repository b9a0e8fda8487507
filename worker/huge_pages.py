"""Huge pages for what a process has loaded, so that its forks start and end sooner.

A fork copies one entry for each page of memory that is not a file's, and its end frees one for each: with torch
loaded that is more than 100,000 pages of 4 KiB, and some hundred of 2 MiB.
"""

import ctypes
import sys
from pathlib import Path
from typing import Final

#: madvise's advice to put a range into huge pages now (Linux 6.1, `man 2 madvise`).
_MADV_COLLAPSE: Final = 25

_HUGE: Final = 2 * 1024 * 1024

_libc: Final = ctypes.CDLL(None, use_errno=True)


def use_huge_pages() -> None:
    """Put this process's heap and anonymous memory into huge pages as far as the kernel can.

    It is advice for these ranges alone: the machine's own setting for huge pages neither hinders it nor changes.
    """
    if sys.platform != "linux":
        return
    try:
        lines = [line.split() for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()]
    except OSError:  # where a sandbox does not show it, forks take longer
        return
    for line in lines:
        where, permissions, name = line[0], line[1], line[5:]
        if permissions == "rw-p" and name in ([], ["[heap]"]):
            first, end = (int(address, 16) for address in where.split("-"))
            for huge in range(-(-first // _HUGE) * _HUGE, end - _HUGE + 1, _HUGE):
                # one by one: a range is given up at its first page that cannot be
                _libc.madvise(ctypes.c_void_p(huge), ctypes.c_size_t(_HUGE), _MADV_COLLAPSE)
