"""`lowland cancel`, `pause`, `resume`, `retry` and `rm`."""

import json

import pytest

from ledger import Ledger
from lowland.cli.exits import Exit
from tests.api.conftest import Worker
from tests.cli.running import Shell
from tests.ledger.playing import job, submit


def test_a_job_goes_through_its_states(lowland: Shell, ledger: Ledger) -> None:
    job_id = submit(ledger)

    said = [lowland(verb, job_id).stdout for verb in ("pause", "resume", "cancel", "retry")]

    assert said == [f"{job_id} {status}\n" for status in ("paused", "queued", "cancelled", "queued")]


def test_what_runs_is_asked_to_stop(lowland: Shell, ledger: Ledger, worker: Worker) -> None:
    job_id = submit(ledger)
    worker.claim()

    assert lowland("pause", job_id).stdout == f"{job_id} running, pause requested\n"


def test_one_that_refuses_does_not_keep_the_others(lowland: Shell, ledger: Ledger) -> None:
    first, second = submit(ledger), submit(ledger)

    said = lowland("cancel", first, "nope", second, "--json")

    assert said.returncode == Exit.NOT_FOUND
    assert [(one["id"], one["status"]) for one in json.loads(said.stdout)] == [
        (first, "cancelled"),
        (second, "cancelled"),
    ]
    assert said.stderr == "lowland: there is no job nope\n"


def test_a_state_that_does_not_allow_it_has_its_code(lowland: Shell, ledger: Ledger) -> None:
    job_id = submit(ledger)
    lowland("cancel", job_id)

    said = lowland("pause", job_id)

    assert (said.returncode, len(said.stderr.splitlines())) == (Exit.REFUSED, 1)
    assert "is cancelled" in said.stderr
    assert lowland("retry", job_id, "--from-checkpoint").returncode == Exit.REFUSED


def test_all_that_fit_are_cancelled(lowland: Shell, ledger: Ledger) -> None:
    kept, gone = submit(ledger, dataset="digits"), submit(ledger, dataset="kmnist")

    assert lowland("cancel", "--dataset", "kmnist").stdout == "1 cancelled, 0 running and asked to stop\n"
    assert (job(ledger, kept).status, job(ledger, gone).status) == ("queued", "cancelled")
    everything = json.loads(lowland("cancel", "--all", "--json").stdout)
    assert everything == {"cancelled": 1, "requested": 0, "next": None}


@pytest.mark.parametrize("arguments", [[], ["--all", "--dataset", "digits"], ["x", "--all"]], ids=" ".join)
def test_what_is_to_be_cancelled_is_said_in_one_way(lowland: Shell, arguments: list[str]) -> None:
    said = lowland("cancel", *arguments)

    assert (said.returncode, said.stdout) == (Exit.UNUSABLE, "")
    assert said.stderr == "lowland: give ids, or filters, or --all alone; see `lowland cancel --help`\n"


def test_jobs_are_deleted_without_a_question_in_a_pipe(lowland: Shell, ledger: Ledger) -> None:
    job_id, running = submit(ledger), submit(ledger)
    lowland("cancel", job_id)

    said = lowland("rm", job_id, running)

    assert (said.returncode, said.stdout) == (Exit.REFUSED, f"{job_id} deleted\n")
    assert lowland("show", job_id).returncode == Exit.NOT_FOUND


def test_what_was_deleted_is_a_list_for_programs(lowland: Shell, ledger: Ledger) -> None:
    job_id, running = submit(ledger), submit(ledger)
    lowland("cancel", job_id)

    said = lowland("rm", "--json", job_id, running)

    assert (said.returncode, json.loads(said.stdout)) == (Exit.REFUSED, [job_id])


@pytest.mark.parametrize(
    ("answer", "code", "there"), [("n\n", Exit.INTERRUPTED, True), ("y\n", Exit.DONE, False)], ids=["no", "yes"]
)
def test_a_terminal_is_asked_before(lowland: Shell, ledger: Ledger, answer: str, code: Exit, there: bool) -> None:
    job_id = submit(ledger)
    lowland("cancel", job_id)

    with lowland.terminal("rm", job_id) as terminal:
        terminal.shows("for good? [y/N]:")
        terminal.types(answer)
        assert terminal.wait() == code

    assert (lowland("show", job_id).returncode == 0) == there
    assert lowland.on_terminal("rm", "--yes", job_id).code == (Exit.DONE if there else Exit.NOT_FOUND)
