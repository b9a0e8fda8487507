"""What a change of an OpenAPI document takes from those who use the API: what they send, and what they read.

What may be sent may only grow, what is answered may only be added to. Of what is answered new values of an enumeration
and new alternatives of an object are taken for additions; a client that does not know them has to pass them over.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

Schema = Mapping[str, Any]

#: Bounds of what may be sent, by whether a larger number allows more.
_BOUNDS: Final = {
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), True),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), False),
}


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What the new document no longer allows or promises, a line each: where, and what."""
    return list(_Comparison(old, new).paths())


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        self._compared: set[tuple[int, int, bool]] = set()

    def paths(self) -> Iterator[str]:
        for path, old in self._old["paths"].items():
            new = self._new["paths"].get(path)
            if new is None:
                yield f"{path}: path removed"
                continue
            for method in (name for name in old if name != "parameters"):
                where = f"{method.upper()} {path}"
                if method not in new:
                    yield f"{where}: operation removed"
                else:
                    yield from self._operation(where, old[method], new[method])
                    yield from self._parameters(where, [old, old[method]], [new, new[method]])

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: operationId changed from {old.get('operationId')} to {new.get('operationId')}"
        sent, sendable = old.get("requestBody", {}), new.get("requestBody", {})
        if sendable.get("required") and not sent.get("required"):
            yield f"{where} body: now required"
        yield from self._content(f"{where} body", sent, sendable, is_sent=True)
        for status, answer in old.get("responses", {}).items():
            here, now = f"{where} {status}", new.get("responses", {}).get(status)
            if now is None:
                yield f"{here}: response status removed"
                continue
            kept = now.get("headers", {})
            yield from (f"{here} header {name}: removed" for name in answer.get("headers", {}) if name not in kept)
            yield from self._content(here, answer, now, is_sent=False)

    def _parameters(self, where: str, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        given, takes = _parameters_of(old, self._old), _parameters_of(new, self._new)
        for key, parameter in takes.items():
            if parameter.get("required") and not given.get(key, {}).get("required"):
                yield f"{where} {' '.join(key)}: new required parameter"
        for key, parameter in given.items():
            here = f"{where} {' '.join(key)}"
            if key not in takes:
                yield f"{here}: parameter removed"
            else:
                yield from self._schema(here, parameter["schema"], takes[key]["schema"], is_sent=True)

    def _content(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
        for media_type, content in old.get("content", {}).items():
            now = new.get("content", {}).get(media_type)
            if now is None:
                yield f"{where}: {media_type} removed"
            else:
                yield from self._schema(where, content["schema"], now["schema"], is_sent=is_sent)

    def _schema(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
        before, after = _alternatives(old, self._old), _alternatives(new, self._new)
        if len(before) == len(after) == 1:  # whatever its name
            pairs = [(next(iter(before.values())), next(iter(after.values())))]
        else:
            pairs = [(before[name], after[name]) for name in before if name in after]
            if is_sent:
                yield from (f"{where}: {name} no longer taken" for name in before if name not in after)
            else:
                objects = {name for name, part in after.items() if part.get("type") == "object"}
                yield from (f"{where}: may now be {name}" for name in after if name not in before.keys() | objects)
        for one, other in pairs:
            if (pair := (id(one), id(other), is_sent)) not in self._compared:
                self._compared.add(pair)
                yield from self._one(where, one, other, is_sent=is_sent)

    def _one(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
        given, taken = (_types(each) for each in ((old, new) if is_sent else (new, old)))
        if not given <= taken | ({"integer"} if "number" in taken else set()):
            yield f"{where}: type changed from {old.get('type', 'any')} to {new.get('type', 'any')}"
        if is_sent:
            yield from _narrowed(where, old, new)
        required, now = set(old.get("required", [])), set(new.get("required", []))
        known = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name not in known:
                yield f"{where} {name}: property removed"
                continue
            yield from self._schema(f"{where} {name}", field, known[name], is_sent=is_sent)
            if not is_sent and name in required - now:
                yield f"{where} {name}: no longer always there"
        if is_sent:
            yield from (f"{where} {name}: new required property" for name in sorted(now - required))
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), Mapping) and isinstance(new.get(inner), Mapping):
                yield from self._schema(f"{where} {inner}", old[inner], new[inner], is_sent=is_sent)
            elif is_sent and new.get(inner) is False and old.get(inner) is not False:
                yield f"{where}: {inner} no longer taken"


def _narrowed(where: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = (schema.get("enum", [schema["const"]] if "const" in schema else None) for schema in (old, new))
    if after is not None and (before is None or not all(value in after for value in before)):
        yield f"{where}: enum narrowed from {before or 'any'} to {after}"
    for bound, grows in _BOUNDS.items():
        was, now = old.get(bound), new.get(bound)
        if now is not None and (was is None or (now < was if grows else now > was)):
            yield f"{where}: {bound} {'lowered' if grows else 'raised'} from {'any' if was is None else was} to {now}"
    if new.get("pattern") not in {None, old.get("pattern")}:
        yield f"{where}: pattern changed from {old.get('pattern', 'any')} to {new['pattern']}"


def _alternatives(schema: Schema, document: Schema, name: str = "") -> dict[str, Schema]:
    """The schemas one of which has to fit, by name or else by what they are."""
    if "$ref" in schema:
        return _alternatives(_resolved(schema, document), document, schema["$ref"].rpartition("/")[2])
    parts = schema.get("anyOf") or schema.get("oneOf")
    if parts:
        return {key: part for each in parts for key, part in _alternatives(each, document).items()}
    return {name or " ".join(str(schema[key]) for key in ("type", "const") if key in schema) or "anything": schema}


def _resolved(node: Schema, document: Schema) -> Schema:
    return reduce(lambda found, part: found[part], node["$ref"].removeprefix("#/").split("/"), document)


def _parameters_of(holders: list[Schema], document: Schema) -> dict[tuple[str, str], Schema]:
    declared = [each for holder in holders for each in holder.get("parameters", [])]
    whole = [_resolved(each, document) if "$ref" in each else each for each in declared]
    return {(each["in"], each["name"]): each for each in whole}


def _types(schema: Schema) -> set[str]:
    named = schema.get("type", ["array", "boolean", "null", "number", "object", "string"])
    return {named} if isinstance(named, str) else set(named)
