"""Data-parallel processes end together, however one of them ends, and what went wrong first is told."""

import signal
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from lowland.spec.reports import Broken
from tests.waiting import until
from tests.worker.engine.grouped import ENDLESS, GroupedEngine, has_stepped, in_ranks, told_of
from worker.engine.errors import broken
from worker.engine.launch import joined


def test_a_rank_that_is_killed_fails_the_run_at_once(tmp_path: Path) -> None:
    engine = GroupedEngine(in_ranks(2, **ENDLESS), tmp_path / "out")
    engine.wait_for(has_stepped, "a step")
    began_at = time.monotonic()

    engine.ranks()[1].kill()
    ended = engine.ended()

    assert ended.status == 1
    assert ended.reports[-1] == Broken(
        type="rank-lost",
        title="A data-parallel process was lost",
        detail="rank 1 ended by signal 9 and said nothing",
        permanent=False,
    )
    assert time.monotonic() - began_at < 10


def test_no_rank_outlives_the_first(tmp_path: Path) -> None:
    engine = GroupedEngine(in_ranks(3, **ENDLESS), tmp_path / "out")
    engine.wait_for(has_stepped, "a step")
    first, *others = engine.ranks()
    for rank in others:
        rank.suspend()  # it cannot notice by itself

    first.kill()

    assert len(others) == 2
    until(lambda: not any(map(_lives, others)), "the other ranks are gone")
    assert engine.ended().status == -signal.SIGKILL


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_goes_wrong_on_all_ranks_is_told_once(tmp_path: Path) -> None:
    ended = GroupedEngine(in_ranks(2, optimizer={"name": "sgd", "lr": 1e6}), tmp_path / "out").ended()

    assert (ended.status, ended.one(Broken).type) == (1, "loss-not-finite")


def test_what_goes_wrong_on_the_first_rank_is_not_taken_for_what_follows_from_it(tmp_path: Path) -> None:
    """A folder lies where its first checkpoint is to be; the others wait for it."""
    out = tmp_path / "out"
    (out / "checkpoint-00001-000000010.pt").mkdir(parents=True)

    ended = GroupedEngine(in_ranks(2), out).ended()

    assert ended.status == 1
    assert ended.one(Broken).detail.startswith("IsADirectoryError")


def _fails_alone(store: Path, failing: int, error: Exception, rank: int) -> None:
    with joined(rank, 3, store, device="cpu") as ranks:
        if rank == failing:
            raise error
        ranks.any([False])


@pytest.mark.parametrize("failing", [0, 2])
def test_the_error_that_came_first_is_told_and_not_the_broken_connections(failing: int, tmp_path: Path) -> None:
    error = MemoryError("no room")

    told = told_of(3, partial(_fails_alone, tmp_path / "store", failing, error), tmp_path)

    assert told == broken(error)


def _fails_unnoticed(rank: int) -> None:
    if rank == 1:
        raise ValueError("only here")
    threading.Event().wait()


def test_a_first_rank_that_does_not_notice_is_ended_too(tmp_path: Path) -> None:
    """As in a collective of a GPU, which does not return."""
    told = told_of(2, _fails_unnoticed, tmp_path)

    assert told == broken(ValueError("only here"))
