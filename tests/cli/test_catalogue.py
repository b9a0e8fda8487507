"""What a job can name, and who trains."""

import json

import pytest

from ledger import Ledger
from lowland.cli.exits import Exit
from lowland.spec import catalogue
from tests.cli.running import Shell
from tests.ledger.playing import enroll, machine

LISTS = {
    "variants": catalogue.variants().variants,
    "datasets": catalogue.datasets().datasets,
    "models": catalogue.models().models,
    "optimizers": catalogue.optimizers().optimizers,
    "schedules": catalogue.schedules().schedules,
    "functions": catalogue.functions().functions,
}


@pytest.mark.parametrize("command", LISTS)
def test_every_entry_is_listed_and_shown(lowland: Shell, command: str) -> None:
    entries = LISTS[command]

    _, *rows = lowland(command).stdout.splitlines()
    on_terminal = lowland.on_terminal(command, width=80)
    shown = lowland(command, entries[1].name).stdout

    assert [row.split()[0] for row in rows] == [entry.name for entry in entries]
    assert max(len(line) for line in on_terminal.lines) <= 80
    assert shown.startswith("name ")
    assert shown.splitlines()[0].split() == ["name", entries[1].name]
    assert json.loads(lowland(command, "--json").stdout) == [entry.model_dump(mode="json") for entry in entries]


def test_options_are_shown_with_bounds_and_defaults(lowland: Shell) -> None:
    said = lowland("variants", "friendly").stdout

    assert "\n  sigma: number >= 0, by default 1.0\n      How much" in said
    assert "\n  variant: " not in said
    entry = json.loads(lowland("variants", "friendly", "--json").stdout)
    assert entry["options"]["properties"]["sigma"]["default"] == 1.0


def test_a_slip_is_guessed(lowland: Shell) -> None:
    said = lowland("variants", "frendly")

    assert (said.returncode, said.stdout) == (Exit.NOT_FOUND, "")
    assert said.stderr == 'lowland: there is no variant "frendly"; did you mean "friendly"?\n'


def test_workers_are_listed_a_line_for_each_device_and_drained(lowland: Shell, ledger: Ledger) -> None:
    assert lowland("workers").stderr == "no workers; jobs wait until one starts\n"
    enroll(ledger, "box", offers=machine("cuda:0", "cuda:1", memory_gb=80.0, model="H100", labels=["fast"]))

    _, *rows = [line.split() for line in lowland("workers").stdout.splitlines()]
    drained = lowland("workers", "drain", "box")

    assert rows == [["box", "alive", f"cuda:{gpu}", "H100", "80", "GB", "free", "fast"] for gpu in (0, 1)]
    assert drained.stdout == "box takes no more jobs, and stops\n"
    assert json.loads(lowland("workers", "--json").stdout)[0]["draining"]
    assert lowland("workers", "drain", "nope").returncode == Exit.NOT_FOUND
