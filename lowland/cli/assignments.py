"""A job spec from a command line: a file of JSON, and `path=value` for what is to be different.

    sam.rho=0.1        a path with dots; what stands on it by its name alone (`sam=friendly`) becomes an object
    epochs=3           JSON where it is JSON
    name=first         a string where it is not
    tags='{"a": "b"}'  JSON, so that lists and objects can be given

Later ones win over earlier ones, and all of them over the file.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from lowland.cli.names import tag_of
from lowland.spec.strict_json import JsonMalformed, parse_json

_PART: Final = re.compile(r"[A-Za-z_][\w-]*")
ASSIGNMENT: Final = re.compile(r"([A-Za-z_][\w-]*(?:\.[\w-]+)*)=(.*)", re.DOTALL)


def read_spec(raw: bytes, *, what: str) -> dict[str, Any]:
    """A file's spec.

    Raises:
        JsonMalformed: it is none.
    """
    value = parse_json(raw, what=what)
    if not isinstance(value, dict):
        raise JsonMalformed(f"{what} is no JSON object; give one, such as " + '{"dataset": "digits"}')
    return cast("dict[str, Any]", value)


def assign(spec: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """The spec with these assignments made, one after the other."""
    for assignment in assignments:
        found = ASSIGNMENT.fullmatch(assignment)
        assert found is not None  # only those are given
        spec = _with(spec, found[1].split("."), _value(found[2]), tag=tag_of(found[1].split(".")[0]))
    return spec


def assignments_of(value: Any, path: str = "") -> Iterator[str]:
    """The assignments that make up a spec, or what stands at a path of one; what is null is left out."""
    members = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if members and all(_PART.fullmatch(key) for key in members):
        for key, inner in members.items():
            yield from assignments_of(inner, f"{path}.{key}" if path else key)
    elif value is not None:
        as_it_is = isinstance(value, str) and _value(value) == value
        yield f"{path}={value if as_it_is else json.dumps(value, ensure_ascii=False)}"


def _with(given: dict[str, Any], path: list[str], value: Any, *, tag: str | None) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return {**given, name: value}
    before = given.get(name)
    if isinstance(before, str) and tag:
        before = {tag: before}
    inner = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
    return {**given, name: _with(inner, rest, value, tag=None)}


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
    except RecursionError as error:
        raise JsonMalformed("a value is nested too deep; a job spec needs 4 levels") from error
