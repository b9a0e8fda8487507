"""What a worker has loaded lies in huge pages."""

import mmap
import subprocess
import sys

import pytest

HUGE = 2 * 1024 * 1024
#: Of `man 2 madvise`.
MADV_COLLAPSE = 25
#: Prints the KiB in huge pages before and after, and whether the memory still holds what it held.
LOOK = """
from pathlib import Path
from worker.huge_pages import use_huge_pages

def huge():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

held = [bytes([number % 256]) * 3000 for number in range(20_000)]
before = huge()
use_huge_pages()
print(before, huge(), all(one == bytes([number % 256]) * 3000 for number, one in enumerate(held)))
"""


def collapses() -> bool:
    """Whether this kernel puts memory into pages of 2 MiB when it is advised to."""
    with mmap.mmap(-1, 3 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(bytes(3 * HUGE))
        try:
            memory.madvise(MADV_COLLAPSE)
        except OSError:
            return False
        return mmap.PAGESIZE == 4096


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages by advice are Linux's")
def test_what_is_loaded_is_put_into_huge_pages_and_stays_what_it_is() -> None:
    if not collapses():
        pytest.skip("this kernel puts nothing into huge pages of 2 MiB by advice")

    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True)

    before, after, same = done.stdout.split()
    assert same == "True"
    assert int(after) - int(before) > 20 * 1024
