"""A house that runs: what it says, what it does when a part of it dies, and how it ends."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stack.house import House, alive, get_json, house
from tests.waiting import until

#: A house that was told to stop is gone within this time.
STOP_S = 10.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that the tests of this file wound, and that heals."""
    with house(tmp_path_factory.mktemp("life") / "data") as started:
        yield started


def test_it_says_where_it_is_ready_and_has_a_worker_then(running: House) -> None:
    readiness = running.readiness()

    assert running.said == [f"Lowland is ready on {running.url}\n"]
    assert readiness is not None
    assert readiness["workers"] == 1


def test_nobody_else_can_read_its_data_or_its_password(running: House) -> None:
    password = running.redis_url.split("@")[0].removeprefix("redis://:")

    assert {path.stat().st_mode & 0o077 for path in [running.folder, *running.folder.rglob("*.conf")]} == {0}
    assert len(password) > 30
    assert password not in running.log
    assert all(password not in " ".join(process.cmdline()) for process in running.tree())


@pytest.mark.parametrize("name", ["api", "keeper", "worker", "valkey"])
def test_a_child_that_is_killed_is_started_again(running: House, name: str) -> None:
    killed = running.child(name)

    killed.kill()

    running.new_child(name, killed)
    until(lambda: (running.readiness() or {}).get("workers"), "the house is ready again", seconds=60)
    assert f"child died: name={name} ending='signal 9, Killed'" in running.log


def test_a_signal_stops_it_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    with house(tmp_path / "data") as running:
        tree = running.tree()

        running.tell(signal.SIGTERM)

        exit_code = running.process.wait(STOP_S)
    assert exit_code == 0
    assert alive(tree) == []
    assert re.findall(r"child asked to stop: name=(\w+)", running.log) == ["api", "keeper", "worker", "valkey"]
    assert re.findall(r"child stopped: name=(\w+)", running.log)[-1] == "valkey"


@pytest.fixture
def without_nohup() -> Iterator[None]:
    """Tests that are run under nohup would hand its deafness to hangups on to the house, which respects it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("without_nohup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "hangup"])
def test_it_stops_before_it_is_ready(tmp_path: Path, number: signal.Signals) -> None:
    with house(tmp_path / "data", ready=False) as running:
        running.child("api")
        tree = running.tree()

        running.tell(number)

        exit_code = running.process.wait(STOP_S)
    assert exit_code == 0
    assert alive(tree) == []


def test_a_worker_that_does_not_stop_is_killed_in_time(tmp_path: Path) -> None:
    with house(tmp_path / "data", ready=False) as running:
        running.child("worker").suspend()
        running.child("api")
        tree = running.tree()

        running.tell(signal.SIGTERM)

        exit_code = running.process.wait(STOP_S)
    assert exit_code == 0
    assert alive(tree) == []
    assert "child killed: name=worker" in running.log


def test_a_second_ctrl_c_kills_it_at_once(tmp_path: Path) -> None:
    with house(tmp_path / "data", ready=False) as running:
        running.child("worker").suspend()  # it cannot stop in order
        running.child("api")
        tree = running.tree()
        running.tell(signal.SIGINT)
        until(lambda: "child stopped: name=keeper" in running.log, "it is stopping")

        running.tell(signal.SIGINT)

        exit_code = running.process.wait(3)
    assert exit_code == 130
    assert alive(tree) == []


def test_nothing_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with house(tmp_path / "data") as running:
        tree = running.tree()

        running.process.kill()

        until(lambda: alive(tree) == [], "every process is gone")
    killed_at = datetime.now(UTC)
    with house(tmp_path / "data") as again:
        workers = get_json(f"{again.url}/workers")
    assert workers is not None  # it is ready once its own worker is there: the killed one still counts as alive
    assert datetime.fromisoformat(workers["workers"][0]["since"]) > killed_at
