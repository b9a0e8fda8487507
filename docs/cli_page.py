"""The page of the command line, written from its commands."""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from lowland.cli import main
from lowland.cli.exits import Exit
from lowland.cli.root import Root


def cli_page() -> str:
    """Every command with its options, and every exit code."""
    lines = [
        "# The command line",
        "",
        "Written by `docs/generate.py` from `lowland/cli/`; `lowland COMMAND --help` says the same. What one does",
        "with it is in [use the command line](../how-to/use-the-command-line.md).",
        "",
        "## `lowland`",
        "",
        *_body(main, "lowland"),
        "",
        "`serve`, `keys`, `data` and `rebuild` need the server's rooms, which are in the repository and not in the",
        "wheel: clone it and run `make setup`. The others need the wheel alone.",
        "",
        "## Exit codes",
        "",
        "| code | name | meaning |",
        "|---|---|---|",
        *(f"| {int(code)} | {code.name.lower()} | {_cell(code.meaning)} |" for code in Exit),
    ]
    assert isinstance(main, Root)  # it has the headings
    for title, commands in main.sections.items():
        lines += ["", f"## {title}"]
        for command in commands:
            lines += _command(command, f"lowland {command.name}")
    return "\n".join(lines) + "\n"


def walk(command: click.Command = main, path: str = "lowland") -> Iterator[tuple[str, click.Command]]:
    """Every command, by what one types."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walk(inner, f"{path} {name}")


def _command(command: click.Command, path: str) -> Iterator[str]:
    for typed, found in walk(command, path):
        yield from ["", f"### `{typed}`", "", *_body(found, typed)]


def _body(command: click.Command, path: str) -> Iterator[str]:
    """Usage, help, options and examples of a command."""
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from ["```text", usage, "```", ""]
    yield _escaped(cleandoc(command.help or ""))
    records = [
        record
        for param in command.get_params(context)
        if isinstance(param, click.Option) and "--help" not in param.opts and (record := param.get_help_record(context))
    ]
    if records:
        yield from ["", "| option | meaning |", "|---|---|"]
        yield from (f"| `{names}` | {_cell(meaning)} |" for names, meaning in records)
    if command.epilog:
        yield from ["", *_epilog(command.epilog)]


def _epilog(text: str) -> Iterator[str]:
    if not text.startswith("\b\n"):
        yield text
        return
    _, _, examples = text.removeprefix("\b\n").partition("\n")
    yield from ["```sh", cleandoc(f"\n{examples}"), "```"]


def _cell(text: str) -> str:
    home = str(Path.home())
    return _escaped(" ".join(text.split()).replace(home, "~")).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "\\<")
