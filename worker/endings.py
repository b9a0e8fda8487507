"""What the end of an engine means for its job. The first row that fits decides.

    the engine sent a line that is no report        lost       the line is quoted
    silent for too long, killed                     lost
    exit 0 after its result                         succeeded
    a permanent error                               failed     data, spec, not-a-number: it would fail again
    asked to stop, and stopped or had to be killed  stopped    or failed for its time-out
    anything else                                   lost       with what is known: signal, memory, last step

A lost run has spent an attempt and its job runs again while attempts are left; one that was stopped has spent none, and
the ledger makes of its job what is wished by then: cancelled, paused, or queued again.
"""

import os
import signal
from dataclasses import dataclass
from typing import Literal

from ledger import Failure, runs
from lowland.spec.reports import EXIT_STOPPED, Broken

Asked = Literal["pause", "cancel", "drain", "timeout"]
"""Why the runner stopped an engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the runner has seen of an engine until its end."""

    wait_status: int
    """As os.wait4 gives it."""
    peak_rss_kb: int
    asked: Asked | None
    has_result: bool
    broken: Broken | None
    garbage: str | None
    """The line that was no report."""
    silent_s: float | None
    """Set when it was killed for its silence."""
    last_step: int | None
    timeout_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What to settle the run with."""

    outcome: runs.Ending
    detail: str = ""
    failure: Failure | None = None


def ending(course: Course) -> Ending:
    """Apply the table above."""
    status = os.waitstatus_to_exitcode(course.wait_status)
    if course.garbage is not None:
        detail = f"the engine sent a line that is no report: {course.garbage}"
        return _lost(Failure(type="engine-garbage", title="The engine broke its contract", detail=detail))
    if course.silent_s is not None:
        detail = f"the engine was silent for {course.silent_s:.3g} s and was killed; {_known(course)}"
        return _lost(Failure(type="engine-stalled", title="The engine hung", detail=detail))
    if status == 0 and course.has_result:
        return Ending(outcome="succeeded")
    if course.broken is not None and course.broken.permanent:
        failure = Failure(type=course.broken.type, title=course.broken.title, detail=course.broken.detail)
        return Ending(outcome="failed", detail=failure.detail, failure=failure)
    if course.asked is not None and status in {EXIT_STOPPED, -signal.SIGTERM, -signal.SIGKILL}:
        return _as_asked(course.asked, course)
    if course.broken is not None:
        return _lost(Failure(type=course.broken.type, title=course.broken.title, detail=course.broken.detail))
    detail = f"the engine {_manner(status)}; {_known(course)}"
    return _lost(Failure(type="engine-died", title="The engine died", detail=detail))


def _as_asked(asked: Asked, course: Course) -> Ending:
    if asked == "timeout":
        detail = f"the attempt took longer than timeout_s, {course.timeout_s:g} s; {_known(course)}"
        failure = Failure(type="timeout", title="The attempt took too long", detail=detail)
        return Ending(outcome="failed", detail=detail, failure=failure)
    return Ending(outcome="stopped", detail="the worker was drained or shut down" if asked == "drain" else "")


def _lost(failure: Failure) -> Ending:
    return Ending(outcome="lost", detail=failure.detail, failure=failure)


def _manner(status: int) -> str:
    if status < 0:
        hint = " (often: out of memory)" if status == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-status).name}{hint}"
    return "ended without a result" if status == 0 else f"ended with exit status {status}"


def _known(course: Course) -> str:
    step = "before its first step" if course.last_step is None else f"after step {course.last_step}"
    return f"{step}, peak memory {course.peak_rss_kb // 1024} MiB"
