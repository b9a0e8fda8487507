"""What commands print: JSON for programs, lines and tables for people. Nothing of it steers a terminal.

On a terminal a table fits its width: columns that are said to be dispensable go first, then the widest texts are cut.
Elsewhere nothing is cut and nothing coloured.
"""

import errno
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

#: Wide enough for whatever is not shown on a terminal.
_ENDLESS: Final = 100_000
_GAP: Final = 2
#: Text is not set in a narrower column.
_LEGIBLE: Final = 30

#: What tells the states of a job apart on a terminal.
STATUS_STYLES: Final = {
    "queued": "blue",
    "running": "cyan",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "bright_black",
}


def json_option(command: F) -> F:
    """With the option to print for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers it.")(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    head: str
    right: bool = False
    """Whether it is aligned at its right, as numbers are."""
    drop: int = 0
    """On a narrow terminal columns with a higher one go first; 0 stays."""
    cut: int = 0
    """To how many characters its texts may be cut on a narrow terminal; 0 is not at all."""


def print_json(value: Any) -> None:
    """Print models, or lists or dictionaries of them, as one JSON document."""
    _print_json(value, indent=2)


def print_json_line(value: Any) -> None:
    """Print a model or value as one line of JSON, at once."""
    _print_json(value, indent=None)


def print_line(text: str = "", *, style: str | None = None, err: bool = False) -> None:
    """Print one line; tabs stay."""
    safe = clean(text)
    click.echo(click.style(safe, fg=style) if style and is_coloured(err=err) else safe, err=err)


def print_fact(name: str, text: str, *, indent: int, style: str | None = None) -> None:
    """Print a text behind its name; on a terminal in as many lines as it takes, each behind the name's column."""
    if not sys.stdout.isatty():
        print_line(f"{name:{indent}}{text}")
        return
    width = max(shutil.get_terminal_size().columns, indent + _LEGIBLE)
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    for label, line in zip([name, *[""] * len(lines)], lines, strict=False):
        print_line(f"{label:{indent}}{line}", style=style)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence["str | Text"]]) -> int:
    """Print rows of texts, already free of what steers a terminal where they are `Text`; says how many columns fit."""
    from rich.text import Text  # noqa: PLC0415  help needs none of it

    heads = [Text(column.head, style="bold") for column in columns]
    cells = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    widths = [max(row[index].cell_len for row in [heads, *cells]) for index in range(len(columns))]
    terminal = console()
    fitting = _fitting(columns, widths, terminal.width)
    for row in [heads, *cells]:
        line = Text(no_wrap=True)
        for index, width in fitting.items():
            cell = row[index].copy()
            cell.truncate(width, overflow="ellipsis")
            filling = " " * (width - cell.cell_len)
            line.append_text(Text.assemble(filling, cell) if columns[index].right else Text.assemble(cell, filling))
            line.append(" " * _GAP)
        line.rstrip()
        terminal.print(line, overflow="ignore", crop=False)
    return len(fitting)


def console(*, err: bool = False) -> "Console":
    """Standard output as rich writes to it: in colours on a terminal that has them, unless NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415  help needs none of it

    class Telling(Console):
        """Says that nobody reads; rich's own exits with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "nobody reads")

    made = Telling(stderr=err, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _ENDLESS
    return made


def is_coloured(*, err: bool = False) -> bool:
    """Whether the output is a terminal with colours that are wanted."""
    return console(err=err).color_system is not None and not console(err=err).no_color


def clean(text: str) -> str:
    """The text with what steers a terminal as JSON writes it; tabs stay."""
    from lowland.spec.show import escaped  # noqa: PLC0415  takes long, and help needs none of it

    return "\t".join(escaped(part) for part in text.split("\t"))


def status_text(status: str) -> "Text":
    """A job's state in its colour."""
    from rich.text import Text  # noqa: PLC0415  help needs none of it

    return Text(clean(status), style=STATUS_STYLES.get(status, ""))


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> dict[int, int]:
    """The columns that fit into a width, and how wide each is then."""
    kept = dict(enumerate(widths))

    def excess() -> int:
        return sum(kept.values()) + _GAP * (len(kept) - 1) - width

    def spare(index: int) -> int:
        return max(0, widths[index] - max(columns[index].cut, len(columns[index].head))) if columns[index].cut else 0

    while excess() > sum(spare(index) for index in kept):
        dispensable = [index for index in kept if columns[index].drop]
        if not dispensable:
            break
        del kept[max(dispensable, key=lambda index: columns[index].drop)]
    for index in sorted(kept, key=spare, reverse=True):
        kept[index] -= min(spare(index), max(0, excess()))
    return kept


def _print_json(value: Any, *, indent: int | None) -> None:
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    click.echo("\n".join(clean(line) for line in text.split("\n")), nl=False)
    click.echo()  # by itself: Python says of no single write that its reader stopped in the midst of it


def plain(value: Any) -> Any:
    """The value as JSON values; a model as the API writes it, with what a newer server has put into it as it came."""
    from pydantic import BaseModel  # noqa: PLC0415  help needs none of it

    match value:
        case BaseModel():
            return value.model_dump(mode="json", warnings=False)
        case dict():
            return {key: plain(inner) for key, inner in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [plain(inner) for inner in cast("Sequence[Any]", value)]
        case _:
            return value
