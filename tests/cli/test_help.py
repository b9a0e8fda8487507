"""Help: of every command, without anything heavy, as wide as a terminal."""

import re
import subprocess
import sys

import click
import pytest

from docs.cli_page import walk
from tests.cli.running import Shell
from tests.docs.pages import DOCS

#: What takes long to import, or is not in the wheel.
HEAVY = {"celery", "fastapi", "httpx2", "ledger", "numpy", "pydantic", "redis", "rich", "stack", "torch", "worker"}
COMMANDS = dict(walk())
NOWHERE = Shell(url="http://127.0.0.1:1")


@pytest.mark.parametrize("arguments", [[], ["ls"], ["data", "get"], ["doctor"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = """
import sys
from lowland.cli import main
try:
    main()
except SystemExit:
    print("imported", *{name.partition(".")[0] for name in sys.modules})
"""
    command = [sys.executable, "-c", program, *arguments, "--help"]

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said.startswith("Usage: ")
    assert HEAVY.isdisjoint(said.rpartition("imported")[2].split())


def test_help_names_every_command_on_a_line_of_its_own() -> None:
    said = NOWHERE.on_terminal("--help", width=80)

    assert said.code == 0
    assert not [line for line in said.lines if line.endswith("...") and not line.startswith("Usage")]
    assert max(len(line) for line in said.lines) <= 80
    named = [line.split()[0] for line in said.lines if line.startswith("  ") and not line.startswith("   ")]
    assert {path.split()[1] for path in COMMANDS if path.count(" ") == 1} <= set(named)


def test_every_command_says_what_it_does_and_every_option_what_it_is_for() -> None:
    mute = [path for path, command in COMMANDS.items() if not command.help]
    options = [
        f"{path} {parameter.name}"
        for path, command in COMMANDS.items()
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]

    assert (mute, options) == ([], [])


@pytest.mark.parametrize("path", COMMANDS)
def test_the_reference_has_every_command_with_every_option(path: str) -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    section = page.partition(f"# `{path}`\n")[2].partition("\n#")[0]

    assert section
    options = [name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")]
    assert [name for name in options if name not in section] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    said = NOWHERE("completion", shell)

    assert (said.returncode, said.stderr) == (0, "")
    assert f"_LOWLAND_COMPLETE={shell}_complete" in said.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("lowland wor", ["workers"]),
        ("lowland ls --status pau", ["paused"]),
        ("lowland ls --variant frien", ["friendly"]),
        ("lowland data get kmn", ["kmnist"]),
        ("lowland variants frien", ["friendly"]),
        ("lowland submit dataset=kmn", ["dataset=kmnist"]),
        ("lowland submit dataset = kmn", ["kmnist"]),  # as bash splits it
        ("lowland submit epochs=1 sam = frien", ["friendly"]),
    ],
)
def test_commands_and_names_are_completed(words: str, completed: list[str]) -> None:
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}

    said = NOWHERE(_LOWLAND_COMPLETE="bash_complete", **variables)

    assert [line.partition(",")[2] for line in said.stdout.splitlines()] == completed


#: They print no data: one goes on until it is stopped, the other prints a script.
WITHOUT_JSON = {"lowland serve", "lowland completion"}


def test_every_command_prints_json_too() -> None:
    without = {
        path
        for path, command in COMMANDS.items()
        if not isinstance(command, click.Group) and "as_json" not in {parameter.name for parameter in command.params}
    }

    assert without == WITHOUT_JSON


def examples() -> list[tuple[str, str]]:
    """Each call of a command in the examples of a help: the command's path, and what stands behind it."""
    texts = [(command.epilog or "").partition("Examples:")[2] for command in COMMANDS.values()]
    calls = [call for text in texts for call in re.findall(r"\blowland ((?:(?![|)\n]|&&|\$\().)*)", text)]
    paths = sorted(COMMANDS, key=len, reverse=True)  # `lowland keys ls` before `lowland keys`
    return [
        (path, call)
        for call in calls
        for path in [next(path for path in paths if f"lowland {call} ".startswith(f"{path} "))]
    ]


@pytest.mark.parametrize(("path", "call"), examples())
def test_an_example_names_a_command_and_its_options(path: str, call: str) -> None:
    named = {option for parameter in COMMANDS[path].params for option in (*parameter.opts, *parameter.secondary_opts)}

    assert path != "lowland"
    assert set(re.findall(r"(?<=\s)-{1,2}[a-z][a-z-]*", call)) <= named
