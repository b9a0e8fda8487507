"""The page of the API: every operation by resource, with what it takes and answers, and the models that come back.

Made from the OpenAPI document alone, but for an example of each operation and the order they stand in.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

#: What a reader may type for each operation. In this order it works: some change what the next one finds.
EXAMPLES: Final[Mapping[str, str]] = {
    "submit_job": "NEW=$(curl -sf localhost:8000/jobs -H 'Content-Type: application/json' "
    '-d \'{"dataset": "digits"}\' | jq -r .id)',
    "list_jobs": "curl -sf 'localhost:8000/jobs?dataset=digits&limit=10'",
    "get_job": "curl -sf localhost:8000/jobs/$JOB",
    "pause_job": "curl -sf -X POST localhost:8000/jobs/$NEW/pause",
    "resume_job": "curl -sf -X POST localhost:8000/jobs/$NEW/resume",
    "cancel_job": "curl -sf -X POST localhost:8000/jobs/$NEW/cancel",
    "cancel_jobs": "curl -sf -X POST 'localhost:8000/jobs/cancel?name=sweep'",
    "retry_job": "curl -sf -X POST localhost:8000/jobs/$FAILED/retry",
    "follow_job": "curl -sfN localhost:8000/jobs/$JOB/events",
    "list_checkpoints": "curl -sf localhost:8000/jobs/$JOB/checkpoints",
    "get_logs": 'curl -sfN "localhost:8000/jobs/$NEW/logs?follow=true"',
    "get_series": 'curl -sf "localhost:8000/jobs/$JOB/metrics?names=train_loss&format=csv"',
    "list_artifacts": "curl -sf localhost:8000/jobs/$JOB/artifacts",
    "get_artifact": "curl -sf localhost:8000/jobs/$JOB/artifacts/model.safetensors -o model.safetensors",
    "head_artifact": "curl -sfI localhost:8000/jobs/$JOB/artifacts/model.safetensors",
    "list_deliveries": "curl -sf localhost:8000/jobs/$JOB/webhooks",
    "delete_job": "curl -sf -X DELETE localhost:8000/jobs/$NEW",
    "list_variants": "curl -sf localhost:8000/variants",
    "list_datasets": "curl -sf localhost:8000/datasets",
    "list_models": "curl -sf localhost:8000/models",
    "list_optimizers": "curl -sf localhost:8000/optimizers",
    "list_schedules": "curl -sf localhost:8000/schedules",
    "list_functions": "curl -sf localhost:8000/functions",
    "get_schema": "curl -sf localhost:8000/schema",
    "list_workers": "WORKER=$(curl -sf localhost:8000/workers | jq -r '.workers[0].id')",
    "drain_worker": "curl -sf -X POST localhost:8000/workers/$WORKER/drain",
    "read_audit": "curl -sf 'localhost:8000/audit?limit=10'",
    "open_session": 'curl -s -X POST -c cookies -H "Authorization: Bearer $LOWLAND_API_KEY" localhost:8000/session',
    "get_session": "curl -sf -b cookies localhost:8000/session",
    "close_session": "curl -s -X DELETE -b cookies localhost:8000/session",
    "get_health": "curl -sf localhost:8000/healthz",
    "get_readiness": "curl -sf localhost:8000/readyz",
    "get_metrics": "curl -sf localhost:8000/metrics",
}
#: Nothing is printed by what keeps it in a variable or a file, nor where the answer has no body.
_SILENT: Final = frozenset({"submit_job", "list_workers", "get_artifact", "delete_job", "close_session"})
#: Problems that any operation answers which wants a key.
_COMMON: Final = frozenset(
    {"key-missing", "key-refused", "scope-missing", "cross-site-refused", "rate-limited", "ledger-unavailable"}
)
#: Headings, by the tag of the operations below them.
TITLES: Final[Mapping[str, str]] = {
    "jobs": "Jobs",
    "following": "Events",
    "metrics": "What was measured",
    "artifacts": "Artifacts",
    "webhooks": "Webhooks",
    "catalogue": "What a job can name",
    "workers": "Workers",
    "access": "Access",
    "health": "Health and metrics",
}
#: Of what these hold the job spec's page tells.
_SPEC: Final = "JobSpec"


def api_page(document: Schema) -> str:
    """Every operation of an OpenAPI document."""
    return "\n".join(_page(document)) + "\n"


def operations(document: Schema) -> dict[str, tuple[str, str, Schema]]:
    """Method, path and description of every operation, by its id."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def _page(document: Schema) -> Iterator[str]:
    known = operations(document)
    named: dict[str, None] = {}
    yield from _HEAD.splitlines()
    for tag, title in TITLES.items():
        yield from ["", f"## {title}"]
        for name in EXAMPLES:
            if tag in known[name][2]["tags"]:
                yield from _operation(*known[name], EXAMPLES[name], silent=name in _SILENT)
                named |= dict.fromkeys(_models_of(known[name][2]))
    schemas = document["components"]["schemas"]
    yield from ["", "## Models", "", "What answers hold. A client passes over fields that it does not know."]
    for name in _closure(named, schemas):
        yield from _model(name, schemas[name])


_HEAD: Final = """\
# The API

Written by `docs/generate.py` from the API's own document, [openapi.json](openapi.json), which a running server answers
at `/openapi.json` and draws at `/docs`.

Bodies are JSON, times RFC 3339 in UTC. Where the server wants keys, each request has `Authorization: Bearer KEY` or the
cookie of a session ([how](../how-to/keys-and-quotas.md)). Each may have an `X-Request-Id`, and each answer does.

What goes wrong is answered as `application/problem+json`, a [Problem](#problem); [every kind](errors.md) has a name.
Those that an operation names beside its answers are its own. Beside them any operation but `/healthz` and
`/readyz` may answer `key-missing`, `key-refused` (401), `scope-missing`, `cross-site-refused` (403),
`rate-limited` (429) and `ledger-unavailable` (503), and any at all `method-not-allowed` and `internal-error`.

In the examples `$JOB` is the id of a job that has succeeded, `$FAILED` of one that has failed, `$NEW` of the one that
the first example makes."""


def _operation(method: str, path: str, operation: Schema, example: str, *, silent: bool) -> Iterator[str]:
    yield from ["", f"### {method} {path}", "", f"{operation['description'].strip()} (`{operation['operationId']}`)"]
    if parameters := operation.get("parameters", []):
        yield from ["", "| parameter | in | takes | default | meaning |", "|---|---|---|---|---|"]
        for given in parameters:
            schema = given["schema"]
            default = "required" if given.get("required") else _shown(schema.get("default"))
            cells = (f"`{given['name']}`", given["in"], _kind(schema), default, _text(given.get("description")))
            yield f"| {' | '.join(cells)} |"
    if body := operation.get("requestBody"):
        schema = body["content"]["application/json"]["schema"]
        fields = schema.get("properties")
        said = ", ".join(f"`{name}`" for name in fields) if fields else _kind(schema)
        yield from ["", f"Body: {said}." + (f" {_text(body['description'])}" if "description" in body else "")]
    yield from ["", "| answer | with |", "|---|---|"]
    for status, answer in sorted(operation["responses"].items()):
        if told := _answer(answer):
            yield f"| {status} | {told} |"
    yield from ["", "```console", f"$ {example}", *([] if silent else ["…"]), "```"]


def _answer(answer: Schema) -> str:
    content = answer.get("content", {})
    if problem := content.get("application/problem+json"):
        own = [slug for slug in problem.get("examples", {}) if slug not in _COMMON]
        return ", ".join(f"[`{slug}`](errors.md#{slug})" for slug in own)
    bodies = [
        _kind(media["schema"]) if kind == "application/json" and "schema" in media else f"`{kind}`"
        for kind, media in content.items()
    ]
    said = "" if answer["description"] == "Successful Response" else _text(answer["description"])
    headers = [f"`{name}`" for name in answer.get("headers", {}) if name != "X-Request-Id"]
    parts = [
        " or ".join(bodies) or ("" if said else "no body"),
        said,
        f"headers {', '.join(headers)}" if headers else "",
    ]
    return "; ".join(part for part in parts if part)


def _models_of(operation: Schema) -> Iterator[str]:
    for answer in operation["responses"].values():
        for media in answer.get("content", {}).values():
            yield from _references(media.get("schema", {}))


def _closure(names: Iterable[str], schemas: Schema) -> list[str]:
    """The models, and those within them, but for what makes up a job's spec; `Problem` last."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found and name != _SPEC:
            found[name] = None
            waiting += _references(schemas[name])
    within = [name for name in found if name not in {"Problem", "FieldError"}]
    return [*sorted(within), "Problem", "FieldError"]


def _references(schema: Any) -> list[str]:
    if isinstance(schema, Mapping):
        own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _references(value)]
    return [name for value in schema for name in _references(value)] if isinstance(schema, list) else []


def _model(name: str, schema: Schema) -> Iterator[str]:
    yield from ["", f"### {name}", "", _text(schema.get("description"))]
    if "enum" in schema:
        yield from ["", "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."]
        return
    yield from ["", "| field | holds | meaning |", "|---|---|---|"]
    for field, inner in schema.get("properties", {}).items():
        yield f"| `{field}` | {_kind(inner)} | {_text(inner.get('description'))} |"


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return _linked(schema["$ref"].rpartition("/")[2])
    if alternatives := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(_kind(each) for each in alternatives))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema.get('items', {}))}"
        case "object":
            return "object"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case "boolean":
            return "true, false"
        case str(kind):
            bounds = [f"{sign} {schema[key]}" for key, sign in (("minimum", ">="), ("maximum", "<=")) if key in schema]
            return " ".join([kind, ", ".join(bounds)]).strip()
        case _:
            return "anything"


def _linked(name: str) -> str:
    if name.removesuffix("-Input") == _SPEC:
        return "[a job spec](job-spec.md)"
    return f"[{name}](#{name.lower()})"


def _shown(value: Any) -> str:
    return "" if value in (None, []) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
