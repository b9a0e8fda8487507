"""What a change of an OpenAPI document takes from those who use the API: what they send, and what they read.

What may be sent may only grow, what is answered may only be added to. Of what is answered new values of an enumeration,
new alternatives of an object and wider bounds are taken for additions: a job's spec is answered as it was taken, and a
client has to pass over what it does not know. A keyword that no rule here knows may not change at all.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.schemas import (
    COMPARED,
    HARMLESS,
    INNER,
    SEVERAL,
    Schema,
    alternatives,
    called,
    changed,
    loosened,
    narrowed,
    resolved,
    taker,
    types,
    written,
)


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What the new document no longer allows or promises, a line each: where, and what."""
    return list(_Comparison(old, new).paths())


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        #: By identity, which holds only as long as what was compared is kept.
        self._compared: dict[tuple[int, int, bool], tuple[Schema, Schema]] = {}

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
        enough = _keys(new, self._new)
        for name, shown in _keys(old, self._old).items():
            if not any(wanted <= shown for wanted in enough.values()):
                yield f"{where} security: {name} no longer enough"
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

    def _schema(self, where: str, old: Any, new: Any, *, is_sent: bool) -> Iterator[str]:
        old, new = written(old), written(new)
        if is_sent and "default" in old and old["default"] != new.get("default", ...):
            yield f"{where}: default changed from {old['default']} to {new.get('default', 'none')}"
        before, after = list(alternatives(old, self._old)), list(alternatives(new, self._new))
        if len(before) == len(after) == 1:
            yield from self._pair(where, before[0], after[0], is_sent=is_sent)
        elif is_sent:
            for one in before:
                if (other := taker(one, after)) is not None:
                    yield from self._pair(where, one, other, is_sent=True)
                else:
                    yield f"{where}: {called(one)} no longer taken"
        else:
            for one in after:
                if (other := taker(one, before)) is not None:
                    yield from self._pair(where, other, one, is_sent=False)
                elif one.get("type") != "object":
                    yield f"{where}: may now be {called(one)}"

    def _pair(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
        if (pair := (id(old), id(new), is_sent)) in self._compared:
            return
        self._compared[pair] = old, new
        source, target = (old, new) if is_sent else (new, old)
        if not types(source) <= types(target):
            yield f"{where}: type changed from {old.get('type', 'any')} to {new.get('type', 'any')}"
            return
        yield from narrowed(where, old, new) if is_sent else loosened(where, old, new)
        yield from self._properties(where, old, new, is_sent=is_sent)
        for keyword in INNER:
            if keyword in old or keyword in new:
                parts = old.get(keyword, True), new.get(keyword, True)
                yield from self._schema(f"{where} {keyword}", *parts, is_sent=is_sent)
        for keyword in SEVERAL:
            yield from self._several(f"{where} {keyword}", source.get(keyword), target.get(keyword), is_sent=is_sent)
        for keyword in sorted((old.keys() | new.keys()) - COMPARED - HARMLESS):
            if old.get(keyword) != new.get(keyword):
                yield changed(where, keyword, old, new)

    def _properties(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
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

    def _several(self, where: str, source: Any, target: Any, *, is_sent: bool) -> Iterator[str]:
        if target is None:
            return
        given, taken = (dict(enumerate(each)) if isinstance(each, list) else each or {} for each in (source, target))
        if given.keys() != taken.keys():
            yield f"{where}: changed"
            return
        for name, part in given.items():
            pair = (part, taken[name]) if is_sent else (taken[name], part)
            yield from self._schema(f"{where} {name}", *pair, is_sent=is_sent)


def _parameters_of(holders: list[Schema], document: Schema) -> dict[tuple[str, str], Schema]:
    declared = [each for holder in holders for each in holder.get("parameters", [])]
    whole = [resolved(each, document) if "$ref" in each else each for each in declared]
    return {(each["in"], each["name"]): each for each in whole}


def _keys(operation: Schema, document: Schema) -> dict[str, set[str]]:
    """What has to be shown: one of these, by its name, and all that it says."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    wanted = operation.get("security", document.get("security")) or [{}]
    return {
        " and ".join(each) or "no key": {
            said for name, scopes in each.items() for said in (_told(schemes.get(name, {"name": name})), *scopes)
        }
        for each in wanted
    }


def _told(scheme: Schema) -> str:
    return str(sorted((key, value) for key, value in scheme.items() if key not in HARMLESS))
