"""`lowland ls` and `lowland show`, and what every table and line is like."""

import json
from pathlib import Path

import pytest

from ledger import Ledger, runs
from lowland import Client
from lowland.cli import wording
from lowland.cli.exits import Exit
from tests.api.conftest import Worker
from tests.cli import played
from tests.cli.running import Shell
from tests.ledger.playing import LOST, submit


def test_jobs_are_listed_newest_first_whole_in_a_pipe(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    first = submit(ledger, name="x" * 60)
    played.epoch(ledger, worker.claim(), 1, 0.5)
    second = submit(ledger, dataset="kmnist", model="cnn", sam="friendly")

    head, *rows = lowland("ls").stdout.splitlines()

    assert head.split() == ["ID", "STATUS", "NAME", "DATASET", "MODEL", "VARIANT", "DONE", "BEST", "AGE"]
    assert [row.split()[:-1] for row in rows] == [
        [second, "queued", "-", "kmnist", "cnn", "friendly", "-", "-"],
        [first, "running", "x" * 60, "digits", "cnn", "sam", "25%", "0.5"],
    ]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_table_fits_its_terminal(lowland: Shell, ledger: Ledger, width: int) -> None:
    job_id = submit(ledger, dataset="fashion-mnist", name="é" * 100)

    said = lowland.on_terminal("ls", width=width)

    assert max(len(line) for line in said.lines) <= width
    assert said.lines[1].split()[:2] == [job_id, "queued"]
    assert ("NAME" in said.text) == (width == 120)


def test_filters_have_to_fit_together(lowland: Shell, ledger: Ledger) -> None:
    wanted = submit(ledger, dataset="kmnist", sam="friendly", name="run-1", tags={"team": "vision", "try": "2"})
    submit(ledger, dataset="kmnist", sam="friendly", name="run-2", tags={"team": "vision"})
    submit(ledger, dataset="kmnist", sam="sam", name="run-1", tags={"team": "vision", "try": "2"})

    def found(*filters: str) -> list[str]:
        return [job["id"] for job in json.loads(lowland("ls", "--json", *filters).stdout)]

    assert found("--variant", "friendly", "--tag", "team:vision", "--tag", "try", "--name", "run") == [wanted]
    assert found("--dataset", "digits") == []
    assert len(found("--limit", "2", "--status", "queued")) == 2


def test_json_is_the_api_s(lowland: Shell, ledger: Ledger, server: str) -> None:
    job_id = submit(ledger, name="ρ\u00e9")

    with Client(server) as client:
        job = client.get(job_id).model_dump(mode="json")

    assert json.loads(lowland("ls", "--json").stdout) == [job]
    assert json.loads(lowland("show", job_id, "--json").stdout) == job


def test_none_is_said_on_standard_error_alone(lowland: Shell, ledger: Ledger) -> None:
    said = lowland("ls")

    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr == "no jobs yet; see `lowland submit --help`\n"
    assert lowland("ls", "--status", "paused").stderr == "no jobs fit\n"


def test_a_terminal_shows_the_newest_50(lowland: Shell, ledger: Ledger) -> None:
    for _ in range(51):
        submit(ledger)

    assert len(lowland("ls").stdout.splitlines()) == 52
    said = lowland.on_terminal("ls").lines
    assert (len(said), said[-1]) == (52, "the newest 50; --limit shows more")


def test_a_job_is_shown_with_all_that_is_known(
    lowland: Shell, ledger: Ledger, worker: Worker, artifact_dir: Path
) -> None:
    job_id = submit(ledger, name="first", max_attempts=1)
    lease = worker.claim()
    played.epoch(ledger, lease, 1, 0.5)
    played.artifact(ledger, lease, artifact_dir, "model.safetensors", sequence=2)
    worker.settle(lease, "failed")

    said = lowland("show", job_id).stdout

    for part in (
        f"id          {job_id}\n",
        "status      failed\n",
        "objective   validation_accuracy 0.5, best 0.5\n",
        "error       The engine died: it was killed\n",
        "  model.safetensors   25.6 kB\n",
        "  sam.variant=sam\n",
    ):
        assert part in said


def test_what_is_shown_can_be_submitted(lowland: Shell, ledger: Ledger) -> None:
    job_id = submit(ledger, dataset="kmnist", sam={"variant": "friendly", "rho": 0.3}, tags={"a": "b c"})

    spec = [line.strip() for line in lowland("show", job_id).stdout.partition("\nspec\n")[2].splitlines()]
    again = lowland("submit", *spec, "--json")

    assert json.loads(again.stdout)["spec"] == json.loads(lowland("show", job_id, "--json").stdout)["spec"]


def test_control_characters_reach_no_terminal(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    submit(ledger, max_attempts=1)
    lease = worker.claim()
    ledger.run(runs.settle(lease, "lost", detail="\x1b[31mred\u202e\x07", failure=LOST))

    for arguments in (["show", lease.job_id], ["show", lease.job_id, "--json"]):
        said = lowland(*arguments).stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(said)
        assert "\\u001b[31mred\\u202e\\u0007" in said


def test_colours_are_for_terminals_that_want_them(lowland: Shell, ledger: Ledger) -> None:
    job_id = submit(ledger)

    assert "\x1b[" in lowland.on_terminal("ls").raw
    assert "\x1b[" in lowland.on_terminal("show", job_id).raw
    for arguments in (["ls"], ["show", job_id]):
        assert "\x1b[" not in lowland.on_terminal(*arguments, NO_COLOR="1").raw.replace("\x1b[1m", "").replace(
            "\x1b[0m", ""
        )
        assert "\x1b[" not in lowland(*arguments).stdout


def test_a_reader_that_stops_is_no_error(lowland: Shell, ledger: Ledger) -> None:
    for _ in range(60):
        submit(ledger)

    with lowland.started("ls", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == "["
        process.stdout.close()

        assert (process.wait(30), process.stderr.read()) == (Exit.NOBODY_READS, "")


def test_a_terminal_without_unicode_is_no_error(lowland: Shell, ledger: Ledger) -> None:
    submit(ledger, name="ρ")

    said = lowland("ls", PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert said.returncode == 0, said.stderr
    assert "\\u03c1" in said.stdout


def test_numbers_are_short() -> None:
    assert [wording.number(value) for value in (None, 0.97123, 12345.6, 2e9)] == ["-", "0.9712", "12346", "2e+09"]
    assert [wording.percent(part) for part in (None, 0.999, 1.0)] == ["-", "99%", "100%"]
    assert [wording.size(count) for count in (0, 999, 1500, 3.4e8)] == ["0 B", "999 B", "1.5 kB", "340 MB"]
    assert [wording.span(s) for s in (None, 0.2, 65, 3600, 90_000)] == ["-", "0s", "1m 5s", "1h", "1d 1h"]
    assert wording.sparkline([0.0, 1.0], width=8) == "▁█"
    assert wording.sparkline([1.0] * 3 + [float("nan")], width=8) == "▁▁▁"
    assert wording.sparkline(list(range(100)), width=4) == "▁▃▆█"
