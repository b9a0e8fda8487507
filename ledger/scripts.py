"""The Lua transitions, loaded: what is rendered from Python, then the prelude, then the script itself."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from ledger.keys import LAYOUT
from lowland.spec.job import TOP_PRIORITY
from lowland.spec.states import TRANSITIONS, Event, Status

_FOLDER: Final = files("ledger") / "lua"


@cache
def script_text(name: str) -> str:
    """The whole text of the transition called `name`, as Redis gets it."""
    rendered = (
        f"local LAYOUT = {_table(LAYOUT)}\n"
        f"local TRANSITIONS = {_nested(TRANSITIONS)}\n"
        f"local TOP_PRIORITY = {TOP_PRIORITY}\n"
    )
    return rendered + _read("_prelude") + _read(name)


def script_names() -> list[str]:
    """Every transition there is."""
    names = (entry.name.removesuffix(".lua") for entry in _FOLDER.iterdir() if entry.name.endswith(".lua"))
    return sorted(name for name in names if not name.startswith("_"))


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _table(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"['{key}'] = '{value}'" for key, value in values.items()) + "}"


def _nested(values: Mapping[Event, Mapping[Status, Status]]) -> str:
    return "{" + ", ".join(f"['{key}'] = {_table({**value})}" for key, value in values.items()) + "}"
