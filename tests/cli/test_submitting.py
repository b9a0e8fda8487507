"""`lowland submit`: from files, standard input and KEY=VALUE; waiting, trying out."""

import json
from pathlib import Path

import pytest

from ledger import Ledger
from lowland.cli.assignments import assign, assignments_of
from lowland.cli.exits import Exit
from lowland.spec import JobSpec
from tests.api.conftest import Worker
from tests.cli.running import Shell


@pytest.mark.parametrize(
    ("given", "assignments", "spec"),
    [
        ({}, ["dataset=digits", "epochs=3"], {"dataset": "digits", "epochs": 3}),
        ({}, ["sam=friendly", "sam.rho=0.1"], {"sam": {"variant": "friendly", "rho": 0.1}}),
        ({"sam": "friendly"}, ["sam.rho=0.1"], {"sam": {"variant": "friendly", "rho": 0.1}}),
        ({"sam": {"variant": "gsam"}}, ["sam.rho=0.1"], {"sam": {"variant": "gsam", "rho": 0.1}}),
        ({"epochs": 1}, ["epochs=2", "epochs=3"], {"epochs": 3}),
        ({"sam": {"rho": 0.1}}, ["sam=gsam"], {"sam": "gsam"}),
        ({}, ["name=first", "seed=7"], {"name": "first", "seed": 7}),
        ({}, ['name="7"', "ema=null", "compile=true"], {"name": "7", "ema": None, "compile": True}),
        ({}, ['tags={"a": "b"}', "tags.c=d=e"], {"tags": {"a": "b", "c": "d=e"}}),
        ({}, ["name=", "start=[1, 2]"], {"name": "", "start": [1, 2]}),
        ({}, ["name=NaN"], {"name": "NaN"}),
        ({"sam": {"rho": 0.1}}, ["sam.rho.start=1"], {"sam": {"rho": {"start": 1}}}),
    ],
)
def test_assignments_make_a_spec(given: dict[str, object], assignments: list[str], spec: dict[str, object]) -> None:
    assert assign(given, assignments) == spec


def test_a_spec_is_made_of_the_assignments_that_are_shown() -> None:
    spec = JobSpec.parse({"dataset": "kmnist", "sam": "friendly", "name": "7", "tags": {"a b": "c", "d": "true"}})

    shown = list(assignments_of(spec.model_dump(mode="json")))

    assert JobSpec.parse(assign({}, shown)) == spec
    assert 'name="7"' in shown


def test_a_file_with_changes_is_queued_and_the_id_alone_is_printed(
    lowland: Shell, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "a=b.json").write_text('{"dataset": "digits", "epochs": 9, "sam": "sam"}')

    said = lowland("submit", str(tmp_path / "a=b.json"), "epochs=2", "sam.rho=0.2")
    job = json.loads(lowland("show", said.stdout.strip(), "--json").stdout)

    assert (said.returncode, said.stderr) == (0, "")
    assert (job["spec"]["epochs"], job["spec"]["sam"]["rho"]) == (2, 0.2)


def test_standard_input_is_read(lowland: Shell, ledger: Ledger) -> None:
    said = lowland("submit", "-", "seed=3", "--json", stdin='{"dataset": "digits"}')

    assert json.loads(said.stdout)["spec"]["seed"] == 3


def test_the_same_key_gives_the_same_job(lowland: Shell, ledger: Ledger) -> None:
    first, second = (lowland("submit", "dataset=digits", "--idempotency-key", "once").stdout for _ in range(2))

    assert first == second
    again = lowland("submit", "dataset=mnist", "--idempotency-key", "once")
    assert (again.returncode, again.stdout) == (Exit.UNUSABLE, "")


def test_every_mistake_has_its_line(lowland: Shell) -> None:
    said = lowland("submit", "dataset=kminst", "epochs=0", "sam.rhoo=1")

    assert (said.returncode, said.stdout) == (Exit.UNUSABLE, "")
    assert [line.split()[:2] for line in said.stderr.splitlines()] == [
        ["lowland:", "dataset"],
        ["lowland:", "sam.rhoo"],
        ["lowland:", "epochs"],
    ]


@pytest.mark.parametrize(
    ("arguments", "stdin", "line"),
    [
        (["nothing.json"], None, "lowland: nothing.json cannot be read: no such file or directory; give a file"),
        (["a.json", "b.json"], None, "lowland: give one file, not a.json, b.json"),
        (["-"], "{", "lowland: line 1, column 2 of standard input: "),
        (["-"], "[]", "lowland: standard input is no JSON object; give one, such as"),
        (["-"], '{"epochs": 1, "epochs": 2}', 'lowland: "epochs" stands twice in one object; give it once'),
        (["dataset=digits", "--wait", "--dry-run"], None, "lowland: give one of --dry-run, --wait and --watch"),
        (["dataset=digits", "--timeout", "3"], None, "lowland: --timeout is for --wait and --watch"),
        (["dataset=digits", "--idempotency-key", "ö"], None, "lowland: "),
        ([], None, "lowland: Missing argument"),
    ],
)
def test_what_cannot_be_a_job_is_said_in_one_line(
    lowland: Shell, arguments: list[str], stdin: str | None, line: str
) -> None:
    said = lowland("submit", *arguments, stdin=stdin)

    assert (said.returncode, said.stdout, len(said.stderr.splitlines())) == (Exit.UNUSABLE, "", 1), said.stderr
    assert said.stderr.startswith(line)


def test_trying_out_stores_nothing_and_says_what_is_unusual(lowland: Shell, ledger: Ledger) -> None:
    said = lowland("submit", "dataset=digits", "sam.rho=5", "--dry-run")
    as_json = json.loads(lowland("submit", "dataset=digits", "--dry-run", "--json").stdout)

    assert "sam.rho is 5" in said.stdout
    assert "parameters" in said.stdout
    assert as_json["estimate"]["parameters"] > 0
    assert json.loads(lowland("ls", "--json").stdout) == []


@pytest.mark.parametrize(("ending", "code"), [("succeeded", Exit.DONE), ("failed", Exit.ENDED_BADLY)])
def test_waiting_ends_as_the_job_does(lowland: Shell, worker: Worker, ending: str, code: Exit) -> None:
    with lowland.started("submit", "dataset=digits", "max_attempts=1", "--wait") as process:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()  # before its end
        worker.settle(lease := worker.claim(), ending)  # pyright: ignore[reportArgumentType]
        out, err = process.communicate(timeout=30)

    assert (lease.job_id, process.returncode, out) == (job_id, code, "")
    assert err == ("" if code is Exit.DONE else f"lowland: job {job_id} is failed: it was killed\n")


def test_waiting_ends_with_its_time(lowland: Shell, ledger: Ledger) -> None:
    said = lowland("submit", "dataset=digits", "--wait", "--timeout", "0.1")

    assert said.returncode == Exit.TIMED_OUT
    assert said.stderr == f"lowland: job {said.stdout.strip()} is still queued after 0.1 s\n"


def test_on_a_terminal_it_says_what_comes_next(lowland: Shell, ledger: Ledger) -> None:
    said = lowland.on_terminal("submit", "dataset=digits")

    job_id, hint = said.lines
    assert hint == f"queued, place 1 in the queue; `lowland watch {job_id}` shows how it goes"


def test_a_key_is_named_where_the_answer_was_lost() -> None:
    said = Shell(url="http://127.0.0.1:1")("submit", "dataset=digits", "--idempotency-key", "mine")

    assert said.returncode == Exit.UNAVAILABLE
    assert said.stderr.endswith("; submit it again with --idempotency-key mine for no second job\n")
