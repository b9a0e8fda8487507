"""JSON, read strictly: what two readers could understand differently is refused.

Stricter than `json.loads`: UTF-8 only, no NaN or Infinity, no key twice in an object, bounded nesting and number of
values.
"""

import json
from collections.abc import Iterable
from typing import Final, cast

#: Deeper documents are refused; a job spec needs 4.
MAX_DEPTH: Final = 32
#: Documents of more values are refused: what is wrong with each takes time to find. A list in a job has 10,000 at most.
MAX_VALUES: Final = 20_000
#: Longer integers are read as floats, which no integer field takes: Python's own conversion takes quadratic time.
MAX_INTEGER_DIGITS: Final = 300


class JsonMalformed(ValueError):
    """It is not a JSON document we read; the message says where it breaks."""


def parse_json(raw: bytes, *, what: str) -> object:
    """Read one JSON document.

    Args:
        what: what the document is called in a message, such as "the body".

    Raises:
        JsonMalformed: it is not JSON.
    """
    if not raw.strip():
        raise JsonMalformed(f"{what} is empty; give a JSON object")
    try:
        value = json.loads(
            raw.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_int=_read_integer,
            object_pairs_hook=_object_without_repeats,
        )
    except UnicodeDecodeError as error:
        raise JsonMalformed(f"byte {error.start} of {what} is not UTF-8; give JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise JsonMalformed(f"line {error.lineno}, column {error.colno} of {what}: {error.msg}") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    _refuse_beyond_measure(value, what)
    return value


def _refuse_constant(name: str) -> float:
    raise JsonMalformed(f"{name} is no JSON; give a finite number")


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise JsonMalformed(f"{json.dumps(key)} stands twice in one object; give it once")
        members[key] = value
    return members


def _refuse_beyond_measure(value: object, what: str) -> None:
    level, values = [value], 1
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        values += len(level)
        if values > MAX_VALUES:
            raise JsonMalformed(f"{what} has more than {MAX_VALUES:,} values; give fewer")
    if any(isinstance(node, list | dict) for node in level):
        raise _too_deep(what)


def _children(node: object) -> Iterable[object]:
    match node:
        case dict():
            return cast("dict[str, object]", node).values()
        case list():
            return cast("list[object]", node)
        case _:
            return ()


def _too_deep(what: str) -> JsonMalformed:
    return JsonMalformed(f"{what} is nested more than {MAX_DEPTH} levels deep; a job spec needs 4")
