"""Engines that live and do not keep their contract."""

import os
import select
import time
from collections.abc import Callable

import psutil
import pytest

from lowland.spec import Status
from lowland.spec.reports import write_report
from tests.faults.fleet import ENDLESS, TINY, Fleet, frozen, outcomes
from tests.stack.house import alive
from tests.worker.engines import EPOCH

#: What a thousand records that wait may take in a runner, many times over.
ROOM_BYTES = 50_000_000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("flood_s", [6.0])
def test_an_engine_that_hangs_talks_rubbish_or_floods_is_ended_with_the_reason_and_the_next_job_runs(
    fleet: Fleet, flood_s: float
) -> None:
    server = fleet.start_redis()
    fleet.start_keeper()
    worker = fleet.start_worker()

    def error_of(misbehave: Callable[[psutil.Process], None], **limits: float) -> str:
        job_id = fleet.submit(ENDLESS, max_attempts=1, **limits)
        fleet.training(job_id)
        engine = worker.engine()
        misbehave(engine)
        job = fleet.finished(job_id)
        assert job.status == Status.FAILED
        assert alive([engine]) == []
        assert job.error is not None
        return f"{job.error.type}: {job.error.detail}"

    def flood(engine: psutil.Process) -> None:
        with frozen(psutil.Process(server.pid)):
            grown.extend(_flood(engine, worker.runners()[0]))

    grown: list[int] = []
    hung = error_of(lambda engine: engine.suspend(), stall_timeout_s=4.0)
    garbled = error_of(lambda engine: _say(engine, b"rubbish\n"))
    flooded = error_of(flood, timeout_s=flood_s)

    assert hung.startswith("engine-stalled: the engine was silent for ")
    assert garbled == "engine-garbage: the engine sent a line that is no report: 'rubbish'"
    assert flooded.startswith("timeout: ")
    assert grown
    assert max(grown) < ROOM_BYTES
    after = fleet.finished(fleet.submit(TINY))
    assert (after.status, outcomes(after)) == (Status.SUCCEEDED, [(1, "succeeded")])
    fleet.found = (
        f"failed for its silence, for its line `rubbish`, for its time-out; at most {max(grown) // 1_000_000} MB more "
        "in the runner; the next job succeeded"
    )


def _say(engine: psutil.Process, text: bytes) -> None:
    """Send a line through the engine's report pipe: whole, or BlockingIOError."""
    pipe = os.open(f"/proc/{engine.pid}/fd/3", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(pipe, text)
    finally:
        os.close(pipe)


def _flood(engine: psutil.Process, runner: psutil.Process) -> list[int]:
    """Send reports in the engine's name as fast as they are taken, for as long as it lives; by how much the runner grew
    meanwhile, time and again."""
    line = write_report(EPOCH)
    lines = line * (select.PIPE_BUF // len(line))  # more at once might be cut in two by a report of the engine's own
    before = runner.memory_full_info().uss
    grown: list[int] = []
    look_at_s = 0.0
    while alive([engine]):
        try:
            _say(engine, lines)
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:  # the engine, or who reads its reports, has just gone
            break
        if time.monotonic() > look_at_s:
            look_at_s = time.monotonic() + 0.1
            grown.append(runner.memory_full_info().uss - before)
    return grown
