"""How values and names are put into messages for people: short, as JSON, secrets hidden."""

import difflib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

from pydantic import BaseModel

#: Longer values are cut.
MAX_SHOWN: Final = 80
#: Of more alternatives only so many are named.
MAX_NAMES: Final = 24
#: Deeper values are left out.
MAX_DEPTH: Final = 6
#: Of more entries only so many are given back.
MAX_ENTRIES: Final = 100
#: Larger integers are described; writing them out takes quadratic time.
MAX_INTEGER_BITS: Final = 128
#: Fields whose values never come back.
SECRET_FIELDS: Final = frozenset({"secret"})
#: Fields that hold such fields: what stands wrongly in their place may be a secret too.
SECRET_OWNERS: Final = frozenset({"webhook"})
#: A user and a password in a URL.
_CREDENTIALS: Final = re.compile(r"://[^/@\s]+@")
#: Characters that steer a terminal, end a line or turn text around.
_RAW: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def public(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value as JSON values, with secrets hidden, long strings and lists cut and deep ones left out."""
    match value:
        case BaseModel():
            return public(value.model_dump(mode="json"), depth)
        case Mapping() | list() | tuple() if depth == 0:
            return "…"
        case Mapping():
            members = cast("Mapping[object, object]", value)
            pairs = islice(members.items(), MAX_ENTRIES)
            told = {str(key): "(hidden)" if key in SECRET_FIELDS else public(item, depth - 1) for key, item in pairs}
            return told if len(members) <= MAX_ENTRIES else told | {"…": "…"}
        case str():
            return cut(_CREDENTIALS.sub("://(hidden)@", value))
        case list() | tuple():
            entries = cast("Sequence[object]", value)
            told = [public(item, depth - 1) for item in entries[:MAX_ENTRIES]]
            return told if len(entries) <= MAX_ENTRIES else [*told, "…"]
        case bool() | None:
            return value
        case int():
            bits = value.bit_length()
            return value if bits <= MAX_INTEGER_BITS else f"an integer of {bits} bits"
        case float():
            return value if math.isfinite(value) else str(value)
        case _:
            return cut(str(value))


def shown(value: Any) -> str:
    """The value as one short piece of JSON."""
    return cut(escaped(json.dumps(public(value), ensure_ascii=False)))


def escaped(text: str) -> str:
    """The text with what a terminal would take for more than text as JSON writes it."""
    return _RAW.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def cut(text: str) -> str:
    """The text, or as much of it as a message bears."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that `name` is probably a slip of, if any."""
    if len(name) > MAX_SHOWN:  # no name is as long, and the search takes its time
        return None
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return close[0] if close else None


def one_of(names: Collection[str]) -> str:
    """A list of alternatives: `"a", "b" or "c"`; of very many the first, and how many there are."""
    quoted = [json.dumps(name, ensure_ascii=False) for name in names]
    if len(quoted) > MAX_NAMES:
        return f"{', '.join(quoted[:MAX_NAMES])}, ... ({len(quoted)} in all)"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
