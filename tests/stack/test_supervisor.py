"""The supervisor with shell scripts in the children's place."""

import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.output import BACKLOG_LINES, Output
from stack.supervisor import FIRST_PAUSE_S, Program, Supervisor
from tests.stack.house import alive
from tests.waiting import until


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """Where the children's lines end up."""
    return tmp_path / "said"


@pytest.fixture
def supervisor(said: Path) -> Iterator[Supervisor]:
    """A supervisor; what a test leaves running is killed."""
    with said.open("wb") as file, Output(file.fileno()) as output:
        started = Supervisor(output)
        yield started
        started.stop(at_once=lambda: True)


def test_what_a_child_says_carries_its_name_to_the_last_unfinished_line(
    supervisor: Supervisor, said: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    supervisor.add(_script(f"echo one; printf two >&2; touch {shlex.quote(str(both))}; exec sleep 60"))
    until(both.exists, "both lines to be said")

    supervisor.stop(at_once=lambda: False)

    until(lambda: said.read_bytes() == b"child  | one\nchild  | two\n", "both lines to be told")


def test_the_pause_between_death_and_start_doubles(supervisor: Supervisor, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    supervisor.add(_script(f"date +%s.%N >> {shlex.quote(str(starts))}; exit 3"))

    def third_start() -> list[str]:
        supervisor.tend()
        return starts.read_text().split()[2:]

    until(starts.exists, "the first start")
    until(third_start, "the third start")
    times = [float(line) for line in starts.read_text().split()]
    assert 0.5 <= times[1] - times[0] < 1.0
    assert 1.0 <= times[2] - times[1] < 2.0


@pytest.mark.parametrize(("status", "starts"), [(0, 1), (3, 2)])
def test_a_child_that_may_finish_is_started_again_only_after_a_failure(
    supervisor: Supervisor, tmp_path: Path, status: int, starts: int
) -> None:
    began = tmp_path / "began"
    supervisor.add(_script(f"echo >> {shlex.quote(str(began))}; exit {status}", may_finish=True))
    deadline = time.monotonic() + FIRST_PAUSE_S + 0.4

    while time.monotonic() < deadline:
        supervisor.tend()
        time.sleep(0.05)

    assert len(began.read_text().splitlines()) == starts


def test_a_child_leads_a_session_of_its_own(supervisor: Supervisor, said: Path) -> None:
    supervisor.add(_script("ps -o sid= -p $$; exec sleep 60"))

    line = until(said.read_text, "the session").split()[-1]

    assert int(line) != os.getsid(0)


def test_children_stop_in_the_reverse_order_and_the_foundation_when_all_are_gone(
    supervisor: Supervisor, said: Path
) -> None:
    stubborn = "trap 'sleep 0.4; echo gone; exit' TERM; echo up; while :; do sleep 0.05; done"
    supervisor.add(_script(stubborn, name="base", foundation=True))
    supervisor.add(_script(stubborn, name="middle", patience_s=10.0))
    supervisor.add(_script(stubborn, name="top", patience_s=10.0))
    until(lambda: said.read_text().count("up") == 3, "all are up")

    supervisor.stop(at_once=lambda: False)

    until(lambda: said.read_text().count("gone") == 3, "all have said it")
    assert [line.split()[0] for line in said.read_text().splitlines() if "gone" in line] == ["top", "middle", "base"]


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace_time_with_its_group(
    supervisor: Supervisor, said: Path
) -> None:
    supervisor.add(_script("trap '' TERM; sleep 60 & echo up; wait", grace_s=0.3))
    until(lambda: "up" in said.read_text(), "it is up")
    sleeping = until(lambda: [p for p in psutil.Process().children(recursive=True) if p.name() == "sleep"], "it sleeps")
    started_at = time.monotonic()

    supervisor.stop(at_once=lambda: False)

    assert 0.3 <= time.monotonic() - started_at < 2.0
    assert alive(sleeping) == []


def test_what_a_dead_child_leaves_of_its_group_is_killed(supervisor: Supervisor, said: Path) -> None:
    supervisor.add(_script("sleep 60 & echo $!"))
    left = psutil.Process(int(until(said.read_text, "the number of what is left").split()[-1]))

    until(lambda: supervisor.tend() or alive([left]) == [], "what was left is gone")


def test_a_reader_that_sleeps_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with Output(writing) as output:
        supervisor = Supervisor(output)
        supervisor.add(_script(f"seq {3 * BACKLOG_LINES}; exec sleep 60"))
        child = supervisor.children[0]
        until(lambda: str(3 * BACKLOG_LINES) in child.last_words, "it could say everything")

        supervisor.stop(at_once=lambda: False)

    assert child.gone()
    os.close(reading)  # the thread that writes sees it, and ends
    os.close(writing)


def _script(
    text: str,
    *,
    name: str = "child",
    grace_s: float = 5.0,
    patience_s: float = 5.0,
    foundation: bool = False,
    may_finish: bool = False,
) -> Program:
    return Program(
        name=name,
        argv=("/bin/sh", "-c", text),
        environment=os.environ,
        folder=Path("/"),
        grace_s=grace_s,
        patience_s=patience_s,
        foundation=foundation,
        may_finish=may_finish,
    )
