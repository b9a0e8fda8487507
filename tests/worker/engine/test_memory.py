"""Memory that an engine frees stays with it."""

import resource

import torch

from worker.engine.memory import keep_freed_memory


def _pages_asked_for(rounds: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(6 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_tensor_as_large_as_the_last_asks_the_system_for_nothing() -> None:
    keep_freed_memory()
    _pages_asked_for(2)

    assert _pages_asked_for(20) < 6 * 2**20 / 4096
