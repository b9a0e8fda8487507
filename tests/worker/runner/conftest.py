"""A runner with a shell script in the engine's place, against a real ledger."""

from pathlib import Path

import pytest

from ledger import Keys, Ledger
from tests.worker.runner.playing import Play, Played
from worker.settings import WorkerSettings


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> WorkerSettings:
    """A worker with one CPU slot, a short lease and little patience."""
    return WorkerSettings(
        redis_url=redis_url, redis_prefix=keys.prefix, artifact_dir=tmp_path, lease_s=1.0, grace_s=0.5, slots=1
    )


@pytest.fixture
def play(settings: WorkerSettings, ledger: Ledger) -> Play:
    return lambda script: Played(settings, ledger, script)
