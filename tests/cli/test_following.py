"""`lowland watch` and `lowland logs`: what goes on, on a terminal and in a pipe."""

import json
import signal
from pathlib import Path

import pytest

from ledger import Ledger
from lowland.cli.exits import Exit
from tests.api.conftest import Worker
from tests.cli import played
from tests.cli.running import Shell
from tests.ledger.playing import submit


def test_a_line_is_written_for_each_change(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    job_id = submit(ledger)
    with lowland.started("watch", job_id) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        lease = worker.claim()
        said.append(process.stdout.readline())
        for number, accuracy in enumerate((0.5, 0.75), start=1):
            played.epoch(ledger, lease, number, accuracy)
            said.append(process.stdout.readline())
        worker.settle(lease, "succeeded")
        rest, err = process.communicate(timeout=30)

    assert [line.removeprefix(job_id).strip() for line in said] == [
        "queued",
        "running",
        "running epoch=1/4 validation_accuracy=0.5",
        "running epoch=2/4 validation_accuracy=0.75",
    ]
    assert rest == f"{job_id} succeeded epoch=2/4 validation_accuracy=0.75\n"
    assert (process.returncode, err) == (0, "")


def test_json_is_the_job_a_line_each_time(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    job_id = submit(ledger)
    with lowland.started("watch", "--json", job_id) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())]
        worker.settle(worker.claim(), "succeeded")
        rest, _ = process.communicate(timeout=30)

    seen += [json.loads(line) for line in rest.splitlines()]
    assert (seen[0]["status"], seen[-1]["status"]) == ("queued", "succeeded")
    assert {one["id"] for one in seen} == {job_id}


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_bars_and_the_course(lowland: Shell, ledger: Ledger, worker: Worker, width: int) -> None:
    job_id = submit(ledger, name="\u00e9clair [bold]")
    lease = worker.claim()
    played.epoch(ledger, lease, 1, 0.25)
    with lowland.terminal("watch", job_id, width=width) as terminal:
        terminal.shows("epoch 1/4  15s left  accuracy 0.25")
        played.epoch(ledger, lease, 2, 0.5)
        terminal.shows("accuracy 0.5")
        terminal.shows("▁█")
        worker.settle(lease, "succeeded")
        assert terminal.wait() == Exit.DONE

    title, course = terminal.frame
    assert title.split() == ["éclair", "[bold]:", "digits", "cnn", "sam", job_id]
    assert course.split()[0] == "succeeded"
    assert "50%" in course
    assert max(len(line) for line in terminal.frame) <= width


def test_many_are_watched_to_their_ends_and_the_first_that_failed_decides(
    lowland: Shell, ledger: Ledger, worker: Worker
) -> None:
    good, bad = submit(ledger), submit(ledger, max_attempts=1)
    worker.settle(worker.claim(), "succeeded")
    worker.settle(worker.claim(), "failed")

    said = lowland("watch", good, bad, "nope")

    assert (said.returncode, said.stderr) == (Exit.ENDED_BADLY, "lowland: there is no job nope\n")
    assert f"{bad} failed error=The engine died: it was killed\n" in said.stdout
    assert lowland("watch", good, "nope").returncode == Exit.NOT_FOUND
    assert lowland.on_terminal("watch", bad).code == Exit.ENDED_BADLY


def test_watching_ends_with_its_time_and_with_ctrl_c_and_the_job_goes_on(lowland: Shell, ledger: Ledger) -> None:
    job_id = submit(ledger)

    assert lowland("watch", "--timeout", "0.1", job_id).returncode == Exit.TIMED_OUT
    with lowland.started("watch", job_id) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == Exit.INTERRUPTED
    with lowland.terminal("watch", job_id) as terminal:
        terminal.shows("place 1: ")
        terminal.types("\x03")
        assert terminal.wait() == Exit.INTERRUPTED
    assert "Traceback" not in terminal.text
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")  # the cursor is back
    assert json.loads(lowland("show", job_id, "--json").stdout)["status"] == "queued"


def test_watching_ends_when_nobody_reads(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    job_id = submit(ledger)
    with lowland.started("watch", job_id) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        worker.settle(worker.claim(), "succeeded")

        assert (process.wait(30), process.stderr.read()) == (Exit.NOBODY_READS, "")


def test_submitting_can_watch_at_once(lowland: Shell, worker: Worker) -> None:
    with lowland.started("submit", "dataset=digits", "--watch") as process:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()
        assert process.stdout.readline() == f"{job_id} queued\n"
        worker.settle(worker.claim(), "succeeded")
        rest, _ = process.communicate(timeout=30)

    assert (process.returncode, rest.splitlines()[-1]) == (0, f"{job_id} succeeded")


def test_a_log_is_printed_from_its_end_and_followed_to_the_job_s(
    lowland: Shell, ledger: Ledger, worker: Worker, artifact_dir: Path
) -> None:
    job_id = submit(ledger)
    lease = worker.claim()
    played.prints(artifact_dir, lease, "one\ntwo\t\x1b[2Jthree\n")

    assert lowland("logs", job_id, "--tail", "1").stdout == "two\t\\u001b[2Jthree\n"
    assert json.loads(lowland("logs", job_id, "--tail", "1", "--json").stdout) == "two\t\x1b[2Jthree"
    with lowland.started("logs", "-f", job_id) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        played.prints(artifact_dir, lease, "four\n")
        worker.settle(lease, "succeeded")
        # not by `communicate`, which passes over what `readline` has already fetched
        rest = process.stdout.read()
        assert process.wait(timeout=30) == 0

    assert rest == "two\t\\u001b[2Jthree\nfour\n"


def test_what_has_happened_is_printed_as_json_lines(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    job_id = submit(ledger)
    worker.settle(worker.claim(), "succeeded")

    said = lowland("logs", "--source", "events", job_id).stdout

    assert [json.loads(line)["event"] for line in said.splitlines()] == ["queued", "running", "succeeded"]
