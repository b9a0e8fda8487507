"""How values and names are put into messages for people: short, as JSON, secrets hidden."""

import difflib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import BaseModel

#: Longer values are cut.
MAX_SHOWN: Final = 80
#: Fields whose values never come back.
SECRET_FIELDS: Final = frozenset({"secret"})


def public(value: Any) -> Any:
    """The value as JSON values, with secrets hidden and long strings cut."""
    match value:
        case BaseModel():
            return public(value.model_dump(mode="json"))
        case Mapping():
            pairs = cast("Mapping[object, object]", value).items()
            return {str(key): "(hidden)" if key in SECRET_FIELDS else public(item) for key, item in pairs}
        case str():
            return value if len(value) <= MAX_SHOWN else value[: MAX_SHOWN - 1] + "…"
        case list() | tuple():
            return [public(item) for item in cast("Sequence[object]", value)]
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case _:
            return str(value)[:MAX_SHOWN]


def shown(value: Any) -> str:
    """The value as one short piece of JSON."""
    try:
        text = json.dumps(public(value), ensure_ascii=False)
    except RecursionError:
        return "too deeply nested"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that `name` is probably a slip of, if any."""
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return close[0] if close else None


def one_of(names: Collection[str]) -> str:
    """A list of alternatives: `"a", "b" or "c"`."""
    quoted = [json.dumps(name, ensure_ascii=False) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
