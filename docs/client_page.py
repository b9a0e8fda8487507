"""The reference page of the Python client, from its docstrings."""

import inspect
import re
from collections.abc import Iterator
from inspect import cleandoc
from itertools import groupby
from textwrap import dedent
from typing import Any, Final

from lowland import Client, errors
from lowland.client import Curves, JobEvent, JobFilters

_SECTION: Final = re.compile(r"^(Args|Raises):$", re.MULTILINE)
_ENTRY: Final = re.compile(r"^    (\S[^:]*): ", re.MULTILINE)
_HEADS: Final = {"Args": ("argument", "meaning"), "Raises": ("error", "when")}


def client_page() -> str:
    """Every method of `Client`, what it gives, and every error."""
    lines = [
        "# The Python client",
        "",
        "Written by `docs/generate.py` from `lowland/client/`. `lowland.AsyncClient` has the same methods, to be",
        "awaited; `follow`, `logs` and `list` of it are gone through with `async for`. What the methods give are the",
        "models of `lowland.spec.resource`, which [the API](api.md) describes.",
        "",
        "## `Client`",
        "",
        *_signature("Client", Client.__init__),
        "",
        *_prose(Client),
    ]
    for name, method in vars(Client).items():
        if not name.startswith("_") and inspect.isfunction(method):
            lines += ["", f"### `{name}`", "", *_signature(name, method), "", *_prose(method)]
    for kind in (JobFilters, JobEvent, Curves):
        lines += ["", f"## `{kind.__name__}`", "", *_prose(kind), "", "| field | type | meaning |", "|---|---|---|"]
        lines += [f"| `{field}` | `{hint}` | {text} |" for field, hint, text in _fields(kind)]
        for name, method in vars(kind).items():
            if not name.startswith("_") and inspect.isfunction(method):
                lines += ["", f"### `{kind.__name__}.{name}`", "", *_signature(name, method), "", *_prose(method)]
    tree = cleandoc(errors.__doc__ or "").partition("\n\n")[2]
    lines += ["", "## Errors", "", "Of `lowland.errors`.", "", "```text", *tree.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def _signature(name: str, function: Any) -> list[str]:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    shown = f"{name}{signature.replace(parameters=parameters)}"
    return ["```text", _plain(shown), "```"]


def _plain(signature: str) -> str:
    """Without the modules that names come from."""
    return re.sub(
        r"\b(?:[a-z_]+\.)+([A-Za-z])", r"\1", re.sub(r"'([\w.]*[A-Z]\w*)'", r"\1", signature).replace("'", '"')
    )


def _prose(documented: Any) -> list[str]:
    """A docstring as Markdown: its sections as tables, its examples as code."""
    before, *sections = _SECTION.split(cleandoc(documented.__doc__ or ""))
    lines = list(_paragraphs(before))[:-1]
    for head, body in zip(sections[::2], sections[1::2], strict=True):
        lines += ["", f"| {_HEADS[head][0]} | {_HEADS[head][1]} |", "|---|---|"]
        _, *entries = _ENTRY.split(body)
        lines += [f"| `{name}` | {_one_line(text)} |" for name, text in zip(entries[::2], entries[1::2], strict=True)]
    return lines


def _paragraphs(text: str) -> Iterator[str]:
    for indented, paragraphs in groupby(text.strip().split("\n\n"), lambda paragraph: paragraph.startswith("    ")):
        if indented:
            yield from ["```python", *dedent("\n\n".join(paragraphs)).splitlines(), "```", ""]
        else:
            yield from (line for paragraph in paragraphs for line in (_one_line(paragraph), ""))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _fields(kind: type) -> Iterator[tuple[str, str, str]]:
    """Each annotated field with the string below it."""
    source = inspect.getsource(kind)
    for match in re.finditer(r'^    (\w+): ([^\n=]+)\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL):
        yield match[1], match[2].replace("|", "\\|"), _one_line(match[3])
