"""Seeing one engine through: a single loop over its reports, its lease, what is asked of it, and its deadlines.

    engine ── reports ──► pipe ──► recorder ──► outbox ──► ledger
       ▲                                          │
       └── SIGTERM, then SIGKILL ◄── deadlines ◄──┴── wishes

The loop never waits for Redis or for the engine longer than its next deadline, and knows nothing of torch.
"""

import os
import select
import time
from dataclasses import dataclass
from typing import Final

from lowland.spec import JobSpec
from lowland.spec.reports import Advanced, Broken, CheckpointWritten, EpochEnded, Finished, Report
from worker.endings import Asked, Course
from worker.engines import Engine
from worker.outbox import Outbox
from worker.pipe import Garbage, ReportPipe
from worker.recording import Recorder

#: The longest pause of the loop: a drain that was asked for by a signal is seen within it.
TICK_S: Final = 0.5
#: How long an engine may take to go after it has closed its pipe.
LEAVE_S: Final = 5.0


@dataclass(slots=True)
class DrainFlag:
    """Raised when this worker is told to stop."""

    raised: bool = False


class Supervision:
    """One run's loop and what it has seen.

    Args:
        engine: just started.
        spec: of its job; has the time-outs.
        outbox: takes what is to be recorded, and learns what is wished.
        recorder: makes records of reports.
        drain: looked at in every turn.
        grace_s: how long the engine may take to stop when asked to.
    """

    def __init__(
        self, engine: Engine, spec: JobSpec, outbox: Outbox, recorder: Recorder, *, drain: DrainFlag, grace_s: float
    ) -> None:
        self._engine = engine
        self._spec = spec
        self._outbox = outbox
        self._recorder = recorder
        self._drain = drain
        self._grace_s = grace_s
        self._pipe = ReportPipe(engine.reports)
        self._started_at = self._heard_at = time.monotonic()
        self._kill_at: float | None = None
        self._asked: Asked | None = None
        self._garbage: str | None = None
        self._silent_s: float | None = None
        self._broken: Broken | None = None
        self._has_result = False
        self._last_step: int | None = None

    def see_through(self) -> Course:
        """Run until the engine's processes are gone; its reports have then been put into the outbox.

        Raises:
            LeaseLost: the job belongs to somebody else. Whatever is raised, the engine has been killed.
        """
        try:
            while not self._pipe.at_end and not self._has_exited():
                self._turn()
            return self._farewell()
        except BaseException:
            self._engine.kill()
            os.wait4(self._engine.pid, 0)
            raise
        finally:
            self._pipe.close()

    def _turn(self) -> None:
        if self._outbox.is_full:
            # an engine whose pipe is not read has no way to be heard
            self._heard_at = time.monotonic()
            time.sleep(self._pause_s())
        elif select.select([self._pipe.descriptor], [], [], self._pause_s())[0]:
            self._listen()
        else:
            self._look_at_silence()
        self._outbox.send()
        self._look_at_wishes()
        self._look_at_deadlines()

    def _pause_s(self) -> float:
        return min(TICK_S, self._outbox.due_in_s)

    def _listen(self) -> None:
        try:
            for report in self._pipe.read():
                self._heard_at = time.monotonic()
                self._note(report)
                self._outbox.put(self._recorder.record(report))
        except Garbage as garbage:
            if self._garbage is None:
                self._garbage = garbage.quote
            self._engine.kill()

    def _note(self, report: Report) -> None:
        match report:
            case Advanced():
                self._last_step = report.progress.step
            case EpochEnded() | CheckpointWritten():
                self._last_step = report.step
            case Finished():
                self._has_result = True
            case Broken():
                self._broken = report
            case _:
                pass

    def _look_at_wishes(self) -> None:
        if self._outbox.wish is not None:
            self._ask(self._outbox.wish)
        elif self._drain.raised:
            self._ask("drain")

    def _look_at_deadlines(self) -> None:
        now = time.monotonic()
        if self._spec.timeout_s is not None and now - self._started_at > self._spec.timeout_s:
            self._ask("timeout")
        if self._kill_at is not None and now > self._kill_at:
            self._engine.kill()

    def _look_at_silence(self) -> None:
        """Called when the pipe was empty at that very moment: time spent waiting for Redis is not the engine's."""
        silent_s = time.monotonic() - self._heard_at
        if silent_s > self._spec.stall_timeout_s and self._silent_s is None:
            self._silent_s = silent_s
            self._engine.kill()

    def _ask(self, what: Asked) -> None:
        if self._asked is None:
            self._asked = what
            self._kill_at = time.monotonic() + self._grace_s
            self._engine.stop()

    def _has_exited(self) -> bool:
        """Whether the process is gone, though something it started may still hold its pipe; it is not reaped yet."""
        return os.waitid(os.P_PID, self._engine.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _farewell(self) -> Course:
        """Read its last reports and its exit status; an engine that closed its pipe and stays is killed."""
        deadline = time.monotonic() + LEAVE_S
        if not self._pipe.at_end:
            self._engine.kill()  # it has exited; what it started may still write
        while not self._pipe.at_end and select.select([self._pipe.descriptor], [], [], 0)[0]:
            self._listen()
            if time.monotonic() > deadline:
                break
        pid, status, usage = os.wait4(self._engine.pid, os.WNOHANG)
        while pid == 0:
            if time.monotonic() > deadline:
                self._engine.kill()
            self._outbox.send()
            time.sleep(0.001)
            pid, status, usage = os.wait4(self._engine.pid, os.WNOHANG)
        self._engine.kill()  # whatever it has left behind in its process group
        return Course(
            wait_status=status,
            peak_rss_kb=usage.ru_maxrss,
            asked=self._asked,
            has_result=self._has_result,
            broken=self._broken,
            garbage=self._garbage,
            silent_s=self._silent_s,
            last_step=self._last_step,
            timeout_s=self._spec.timeout_s,
        )
