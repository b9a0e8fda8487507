"""Nothing in a job can be as long as somebody likes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic.json_schema import models_json_schema

from lowland.spec import JobSpec, SpecInvalid

#: How patterns end that bound what matches them.
SHORT = re.compile(r"\{\d+,\d+\}(=\{0,2\})?\$$")
_, SCHEMA = models_json_schema([(JobSpec, "validation")])


def parts(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from parts(value, f"{path}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from parts(value, f"{path}.{number}")


def test_every_text_list_and_object_has_a_limit() -> None:
    unbounded = []
    for path, node in parts(SCHEMA["$defs"], ""):
        match node.get("type"):
            case "string" if not {"maxLength", "enum", "const"} & node.keys() and not SHORT.search(
                node.get("pattern", "")
            ):
                unbounded.append(path)
            case "array" if "maxItems" not in node:
                unbounded.append(path)
            case "object" if "properties" not in node and "maxProperties" not in node:
                unbounded.append(path)

    assert unbounded == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "x" * 201}, "at most 200 characters"),
        ({"tags": {str(number): "x" for number in range(33)}}, "give at most 32 entries"),
        ({"tags": {"x" * 201: "x"}}, "at most 200 characters"),
        ({"tags": {"x": "y" * 201}}, "at most 200 characters"),
        ({"tags": {"x": ""}}, "at least 1 character"),
        ({"tags": {"x": "a\nb"}}, "one line of text"),
        ({"resources": {"labels": [f"l{number}" for number in range(17)]}}, "at most 16 entries"),
        ({"webhook": {"url": "https://a", "events": ["started"] * 2}}, "give each once"),
        ({"webhook": {"url": "https://a", "events": ["started"] * 3}}, "at most 2 entries"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_too_long_is_refused_with_its_limit(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        JobSpec.parse({"dataset": "digits", **spec})

    assert said in str(caught.value)
