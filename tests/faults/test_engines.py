"""Engines that live and do not keep their contract."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lowland.spec import Status
from lowland.spec.reports import write_report
from tests.faults.fleet import ENDLESS, TINY, Fleet, outcomes
from tests.stack.house import alive
from tests.worker.engines import EPOCH

#: What a thousand records that wait may take in a runner.
ROOM_BYTES = 100_000_000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("flood_s", [4.0])
def test_an_engine_that_hangs_talks_rubbish_or_floods_is_ended_with_the_reason_and_the_next_job_runs(
    fleet: Fleet, flood_s: float
) -> None:
    worker = fleet.start()

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

    hung = error_of(lambda engine: engine.suspend(), stall_timeout_s=2.0)
    garbled = error_of(lambda engine: _say(engine, b"rubbish\n"))
    grown: list[int] = []
    flooded = error_of(lambda engine: grown.extend(_flood(engine, worker.runners()[0])), timeout_s=flood_s)

    assert hung.startswith("engine-stalled: the engine was silent for 2")
    assert garbled == "engine-garbage: the engine sent a line that is no report: 'rubbish'"
    assert flooded.startswith("timeout: ")
    assert max(grown) < ROOM_BYTES
    after = fleet.finished(fleet.submit(TINY))
    assert (after.status, outcomes(after)) == (Status.SUCCEEDED, [(1, "succeeded")])
    fleet.found = (
        f"failed for its silence, for its line `rubbish`, for its time-out; at most {max(grown) // 1_000_000} MB more "
        "in the runner; the next job succeeded"
    )


def _report_pipe(engine: psutil.Process) -> Path:
    return Path(f"/proc/{engine.pid}/fd/3")


def _say(engine: psutil.Process, line: bytes) -> None:
    with _report_pipe(engine).open("wb", buffering=0) as pipe:
        pipe.write(line)


def _flood(engine: psutil.Process, runner: psutil.Process) -> Iterator[int]:
    """Send reports in the engine's name as fast as they are taken, for as long as it lives; how the runner grows."""
    lines = write_report(EPOCH) * 100
    before = runner.memory_full_info().uss
    with _report_pipe(engine).open("wb", buffering=0) as pipe:
        while alive([engine]):
            until_s = time.monotonic() + 0.1
            while time.monotonic() < until_s:
                try:
                    pipe.write(lines)
                except BrokenPipeError:
                    return
            yield runner.memory_full_info().uss - before
