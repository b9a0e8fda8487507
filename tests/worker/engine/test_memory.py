"""Memory that an engine frees stays with it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

#: Prints how many pages are asked for by steps that each hold 160 MiB for a moment, the first step not among them.
PROGRAM = """
import resource, torch
from worker.engine.memory import keep_freed_memory
keep_freed_memory()
def step():
    [torch.ones(8 * 2**20, dtype=torch.uint8) for _ in range(20)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_step_like_the_last_asks_the_system_for_little_memory() -> None:
    """Without it these five ask for 200,000 pages."""
    pages = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert int(pages) < 40_000
