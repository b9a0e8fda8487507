"""The Lua transitions, loaded: what is rendered from Python, then what all share, then the script itself."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from ledger.access import COMMAND_LINE
from ledger.keys import LAYOUT
from ledger.measures import WAIT_BOUNDS_MS
from lowland.spec.job import TOP_PRIORITY
from lowland.spec.states import FULFILLED, TRANSITIONS, Event, Status

_FOLDER: Final = files("ledger") / "lua"


@cache
def script_text(name: str) -> str:
    """The whole text of the transition called `name`, as Redis gets it."""
    rendered = (
        f"local LAYOUT = {_table(LAYOUT)}\n"
        f"local TRANSITIONS = {_nested(TRANSITIONS)}\n"
        f"local FULFILLED = {_sets(FULFILLED)}\n"
        f"local TOP_PRIORITY = {TOP_PRIORITY}\n"
        f"local COMMAND_LINE = '{COMMAND_LINE}'\n"
        f"local WAIT_BOUNDS_MS = {{{', '.join(map(str, WAIT_BOUNDS_MS))}}}\n"
    )
    shared = "".join(_read(part) for part in _files() if part.startswith("_"))
    return rendered + shared + _read(name)


def script_names() -> list[str]:
    """Every transition there is."""
    return [name for name in _files() if not name.startswith("_")]


def _files() -> list[str]:
    """All of them in order; those that all share begin with an underscore."""
    return sorted(entry.name.removesuffix(".lua") for entry in _FOLDER.iterdir() if entry.name.endswith(".lua"))


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _table(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"['{key}'] = '{value}'" for key, value in values.items()) + "}"


def _nested(values: Mapping[Event, Mapping[Status, Status]]) -> str:
    return "{" + ", ".join(f"['{key}'] = {_table({**value})}" for key, value in values.items()) + "}"


def _sets(values: Mapping[Event, Collection[Status]]) -> str:
    rows = {key: ", ".join(f"['{one}'] = true" for one in sorted(ones)) for key, ones in values.items()}
    return "{" + ", ".join(f"['{key}'] = {{{row}}}" for key, row in rows.items()) + "}"
