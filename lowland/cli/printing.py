"""What commands print: JSON for programs, lines and tables for people. Nothing of it steers a terminal.

On a terminal a table fits its width: columns that are said to be dispensable go first, then the widest texts are cut.
Elsewhere nothing is cut and nothing coloured.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

#: Wide enough for whatever is not shown on a terminal.
_ENDLESS: Final = 100_000
_GAP: Final = 2

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
    cut: bool = False
    """Whether its texts may be cut."""


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


def print_table(columns: Sequence[Column], rows: Iterable[Sequence["str | Text"]]) -> int:
    """Print rows of texts, already free of what steers a terminal where they are `Text`; says how many columns fit."""
    from rich.cells import cell_len  # noqa: PLC0415  help needs none of it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    widths = [
        max([cell_len(column.head), *(row[index].cell_len for row in cells)]) for index, column in enumerate(columns)
    ]
    terminal = console()
    kept = _kept(columns, widths, terminal.width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", show_edge=False)
    for index in kept:
        column = columns[index]
        justify: Literal["right", "left"] = "right" if column.right else "left"
        width = None if column.cut else widths[index]
        table.add_column(column.head, justify=justify, no_wrap=True, overflow="ellipsis", min_width=width)
    for row in cells:
        table.add_row(*(row[index] for index in kept))
    if terminal.is_terminal:
        terminal.print(table)
    else:  # the last column is filled up too
        with terminal.capture() as captured:
            terminal.print(table)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    return len(kept)


def console(*, err: bool = False) -> "Console":
    """Standard output as rich writes to it: in colours on a terminal that has them, unless NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415  help needs none of it

    made = Console(stderr=err, highlight=False, markup=False, emoji=False)
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


def _kept(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns that fit, where those that may be cut count with their heads alone."""
    kept = list(range(len(columns)))
    while True:
        needed = sum(widths[index] + _GAP for index in kept) - _GAP
        dispensable = [index for index in kept if columns[index].drop]
        if needed <= width or not dispensable:
            return kept
        kept.remove(max(dispensable, key=lambda index: columns[index].drop))


def _print_json(value: Any, *, indent: int | None) -> None:
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    click.echo("\n".join(clean(line) for line in text.split("\n")))


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
