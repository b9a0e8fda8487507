"""What fits a JSON Schema, and what of that another takes: the rules, one keyword or one alternative at a time."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

Schema = Mapping[str, Any]

#: Bounds, by whether a larger number allows more.
_BOUNDS: Final = {
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), True),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), False),
}
#: Each takes something away from what fits, and nothing where it is missing.
_CONSTRAINTS: Final = ("pattern", "format", "multipleOf", "uniqueItems")
#: Hold a schema, and anything where they are missing.
INNER: Final = ("items", "additionalProperties", "propertyNames")
#: Hold several, all of which count.
SEVERAL: Final = ("prefixItems", "allOf", "patternProperties")
#: Stand for other schemas, one of which has to fit.
_ELSEWHERE: Final = ("$ref", "anyOf", "oneOf")
#: Change nothing of what fits; `discriminator` says again what the alternatives' constants do.
HARMLESS: Final = {
    *("title", "description", "examples", "example", "deprecated", "readOnly", "writeOnly", "discriminator"),
    "default",  # of what is sent it is compared where it stands
}
COMPARED: Final = {"type", "const", "enum", "properties", "required", *_BOUNDS, *_CONSTRAINTS, *INNER, *SEVERAL}
_TYPES: Final = {"array", "boolean", "integer", "null", "number", "object", "string"}
#: By what Python reads a JSON value as.
_TYPE_OF: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}


def narrowed(where: str, old: Schema, new: Schema) -> Iterator[str]:
    """What fits no longer."""
    before, after = _values(old), _values(new)
    if after is not None and (before is None or not all(value in after for value in before)):
        yield f"{where}: enum narrowed from {before or 'any'} to {after}"
    for bound, grows in _BOUNDS.items():
        was, now = old.get(bound), new.get(bound)
        if now is not None and (was is None or (now < was if grows else now > was)):
            yield f"{where}: {bound} {'lowered' if grows else 'raised'} from {'any' if was is None else was} to {now}"
    yield from (changed(where, each, old, new) for each in _CONSTRAINTS if new.get(each) not in {None, old.get(each)})


def loosened(where: str, old: Schema, new: Schema) -> Iterator[str]:
    """What is no longer promised of what fits."""
    before, after = _values(old), _values(new)
    if before is not None and (after is None or not any(value in after for value in before)):
        yield f"{where}: enum changed from {before} to {after or 'any'}"
    yield from (changed(where, bound, old, new) for bound in _BOUNDS if bound in old and bound not in new)
    yield from (changed(where, each, old, new) for each in _CONSTRAINTS if old.get(each) not in {None, new.get(each)})


def changed(where: str, keyword: str, old: Schema, new: Schema) -> str:
    """The line that says so."""
    return f"{where}: {keyword} changed from {old.get(keyword, 'any')} to {new.get(keyword, 'any')}"


def written(schema: Any) -> Schema:
    """A schema that is only true or false, written out."""
    return schema if isinstance(schema, Mapping) else {} if schema else {"not": {}}


def alternatives(schema: Schema, document: Schema) -> Iterator[Schema]:
    """The schemas one of which has to fit, each of one type or any."""
    if keyword := next((each for each in _ELSEWHERE if each in schema), ""):
        beside = {key: value for key, value in schema.items() if key not in HARMLESS | {keyword}}
        for part in [resolved(schema, document)] if keyword == "$ref" else schema[keyword]:
            for each in alternatives(written(part), document):
                yield {**each, "beside": beside} if beside else each
    elif isinstance(schema.get("type"), list):
        yield from ({**schema, "type": each} for each in schema["type"])
    elif schema != {"not": {}}:
        yield schema


def taker(one: Schema, others: list[Schema]) -> Schema | None:
    """The most similar of those that may take whatever fits one; constants of objects tell which are meant."""
    flat = {**one, **one.get("properties", {})}

    def unlike(other: Schema) -> int:
        theirs = {**other, **other.get("properties", {})}
        return sum(flat.get(key) != theirs.get(key) for key in flat.keys() | theirs.keys())

    def fits(other: Schema) -> bool:
        tags, theirs = _tags(one), _tags(other)
        return types(one) <= types(other) and all(tags[name] == theirs[name] for name in tags.keys() & theirs.keys())

    return min(filter(fits, others), key=unlike, default=None)


def _tags(schema: Schema) -> dict[str, Any]:
    fields = {name: written(field) for name, field in schema.get("properties", {}).items()}
    return {name: field["const"] for name, field in fields.items() if "const" in field}


def called(schema: Schema) -> str:
    """A name for an alternative: its type, and the constants it is known by."""
    return " ".join(str(each) for each in (schema.get("type", "any"), *(_values(schema) or _tags(schema).values())))


def _values(schema: Schema) -> list[Any] | None:
    return schema.get("enum", [schema["const"]] if "const" in schema else None)


def types(schema: Schema) -> set[str]:
    """What a value may be; an integer is a number too."""
    values = _values(schema)
    named = {schema["type"]} if "type" in schema else _TYPES if values is None else {_TYPE_OF[type(v)] for v in values}
    return named | ({"integer"} if "number" in named else set())


def resolved(node: Schema, document: Schema) -> Schema:
    """What a `$ref` leads to."""
    return reduce(lambda found, part: found[part], node["$ref"].removeprefix("#/").split("/"), document)
