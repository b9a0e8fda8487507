"""The table of endings, row by row."""

import signal
from typing import Any

import pytest

from lowland.spec.reports import EXIT_STOPPED
from tests.worker.engines import PASSING, PERMANENT
from worker.endings import Course, Ending, ending

SIGKILLED = signal.SIGKILL
SEGFAULT = signal.SIGSEGV


def exited(status: int) -> int:
    return status << 8


def course(wait_status: int, **seen: Any) -> Course:
    nothing: dict[str, Any] = {
        "peak_rss_kb": 2048,
        "asked": None,
        "has_result": False,
        "broken": None,
        "garbage": None,
        "silent_s": None,
        "last_step": None,
        "timeout_s": None,
    }
    return Course(wait_status=wait_status, **{**nothing, **seen})


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        pytest.param(course(exited(0), has_result=True), "succeeded", id="exit-0-with-result"),
        pytest.param(course(exited(0)), "lost", id="exit-0-without-result"),
        pytest.param(course(exited(EXIT_STOPPED), asked="cancel"), "stopped", id="stopped-for-cancel"),
        pytest.param(course(exited(EXIT_STOPPED), asked="drain"), "stopped", id="stopped-for-drain"),
        pytest.param(course(exited(EXIT_STOPPED), asked="timeout", timeout_s=1.0), "failed", id="stopped-for-timeout"),
        pytest.param(course(exited(EXIT_STOPPED)), "lost", id="stopped-unasked"),
        pytest.param(course(SIGKILLED, asked="cancel"), "stopped", id="killed-after-grace-for-cancel"),
        pytest.param(course(SIGKILLED, asked="drain"), "stopped", id="killed-after-grace-for-drain"),
        pytest.param(course(signal.SIGTERM, asked="drain"), "stopped", id="asked-before-it-could-listen"),
        pytest.param(course(exited(0), has_result=True, asked="cancel"), "succeeded", id="finished-before-cancel"),
        pytest.param(course(exited(1), broken=PERMANENT), "failed", id="permanent-error"),
        pytest.param(course(exited(1), broken=PASSING), "lost", id="passing-error"),
        pytest.param(course(exited(1)), "lost", id="exit-1"),
        pytest.param(course(SIGKILLED), "lost", id="killed"),
        pytest.param(course(SEGFAULT), "lost", id="segfault"),
        pytest.param(course(SIGKILLED, silent_s=3.0), "lost", id="hung"),
        pytest.param(course(SIGKILLED, garbage="'?'"), "lost", id="garbage"),
        pytest.param(course(exited(0), has_result=True, garbage="'?'"), "lost", id="garbage-beside-a-result"),
    ],
)
def test_each_ending_has_its_outcome(seen: Course, outcome: str) -> None:
    assert ending(seen).outcome == outcome


def test_what_was_asked_in_vain_counts_as_stopped_without_an_error() -> None:
    assert ending(course(SIGKILLED, asked="drain")) == Ending(
        outcome="stopped", detail="the worker was drained or shut down"
    )


def test_a_death_is_told_with_what_is_known() -> None:
    told = ending(course(SEGFAULT, last_step=41))

    assert told.failure is not None
    assert told.detail == told.failure.detail == "the engine was killed by SIGSEGV; after step 41, peak memory 2 MiB"


def test_a_permanent_error_keeps_the_engines_own_words() -> None:
    told = ending(course(exited(1), broken=PERMANENT)).failure

    assert told is not None
    assert (told.type, told.title, told.detail) == (PERMANENT.type, PERMANENT.title, PERMANENT.detail)
