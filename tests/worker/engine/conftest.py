"""Every engine here computes on one thread: tests share their cores, and threads on one core wait for each other."""

import os
from pathlib import Path

import pytest
import torch

#: Where this machine keeps real datasets, if it does; read before any test takes it out of the environment.
_DATA_DIR = os.environ.get("LOWLAND_DATA_DIR")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the tests compute themselves, and for the engines they start."""
    torch.set_num_threads(1)
    monkeypatch.setenv("LOWLAND_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images are kept where the tests end."""
    monkeypatch.setenv("LOWLAND_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "decoded"))


@pytest.fixture
def real_data() -> Path:
    """The folder of real datasets; the test is skipped where there is none."""
    if not _DATA_DIR:
        pytest.skip("LOWLAND_DATA_DIR is not set")
    return Path(_DATA_DIR)
