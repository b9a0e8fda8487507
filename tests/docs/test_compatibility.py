"""What a changed OpenAPI document takes away is found and named; what it adds is not."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from docs.compatibility import incompatibilities
from docs.schemas import HARMLESS

BASE: dict[str, Any] = {
    "paths": {
        "/jobs": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "post": {
                "operationId": "submit",
                "parameters": [{"name": "dry_run", "in": "query", "schema": {"type": "boolean"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Spec"}}}},
                "responses": {
                    "201": {
                        "headers": {"Location": {"schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}},
                    },
                    "422": {"content": {}},
                },
            },
            "get": {"operationId": "list", "security": [{"Key": []}, {"Cookie": []}], "responses": {"200": {}}},
        },
        "/health": {"get": {"operationId": "health", "responses": {"200": {}}}},
    },
    "components": {
        "parameters": {"Id": {"name": "X-Id", "in": "header", "schema": {"type": "string", "maxLength": 9}}},
        "schemas": {
            "Spec": {
                "type": "object",
                "properties": {
                    "epochs": {"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
                    "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
                    "labels": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "string", "pattern": "^a"}]},
                    "cap": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "device": {"enum": ["cpu", "cuda"], "type": "string"},
                    "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "sam": {"anyOf": [{"$ref": "#/components/schemas/Plain"}, {"type": "string"}]},
                },
            },
            "Plain": {"type": "object", "properties": {"rho": {"type": "number"}, "name": {"const": "plain"}}},
            "Job": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "next": {"type": ["string", "null"]},
                    "loss": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "state": {"anyOf": [{"const": "queued", "type": "string"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
                },
                "required": ["id"],
            },
        },
    },
}
REAL: Final = json.loads((Path(__file__).parents[2] / "docs/reference/openapi.json").read_text())
SPEC = "POST /jobs body"
JOB = "POST /jobs 201"

Change = Callable[[dict[str, Any]], object]


def paths(new: dict[str, Any]) -> dict[str, Any]:
    return new["paths"]


def submit(new: dict[str, Any]) -> dict[str, Any]:
    return new["paths"]["/jobs"]["post"]


def fields(new: dict[str, Any], name: str = "Spec") -> dict[str, Any]:
    return new["components"]["schemas"][name]["properties"]


def rename(new: dict[str, Any], name: str, to: str) -> None:
    text = json.dumps(new).replace(f'#/components/schemas/{name}"', f'#/components/schemas/{to}"')
    new.update(json.loads(text))
    new["components"]["schemas"][to] = new["components"]["schemas"].pop(name)


def schema(new: dict[str, Any], name: str) -> dict[str, Any]:
    return new["components"]["schemas"][name]


def parameter(name: str, **said: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}, **said}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda new: paths(new).pop("/health"), "/health: path removed"),
        (lambda new: paths(new)["/jobs"].pop("get"), "GET /jobs: operation removed"),
        (
            lambda new: submit(new).update(operationId="post"),
            "POST /jobs: operationId changed from submit to post",
        ),
        (
            lambda new: submit(new)["parameters"].append(parameter("who", required=True)),
            "POST /jobs query who: new required parameter",
        ),
        (
            lambda new: submit(new)["parameters"][0].update(required=True),
            "POST /jobs query dry_run: new required parameter",
        ),
        (lambda new: submit(new)["parameters"].clear(), "POST /jobs query dry_run: parameter removed"),
        (
            lambda new: new["components"]["parameters"]["Id"]["schema"].update(maxLength=8),
            "POST /jobs header X-Id: maxLength lowered from 9 to 8",
        ),
        (lambda new: submit(new)["requestBody"].update(required=True), f"{SPEC}: now required"),
        (lambda new: submit(new)["requestBody"].update(content={}), f"{SPEC}: application/json removed"),
        (lambda new: schema(new, "Spec").update(required=["epochs"]), f"{SPEC} epochs: new required property"),
        (lambda new: fields(new).pop("epochs"), f"{SPEC} epochs: property removed"),
        (lambda new: fields(new)["epochs"].update(maximum=5), f"{SPEC} epochs: maximum lowered from 10 to 5"),
        (lambda new: fields(new)["epochs"].update(minimum=2), f"{SPEC} epochs: minimum raised from 1 to 2"),
        (
            lambda new: fields(new)["epochs"].update(exclusiveMaximum=9),
            f"{SPEC} epochs: exclusiveMaximum lowered from any to 9",
        ),
        (
            lambda new: fields(new)["epochs"].update(multipleOf=1),
            f"{SPEC} epochs: multipleOf changed from any to 1",
        ),
        (lambda new: fields(new)["epochs"].update(default=6), f"{SPEC} epochs: default changed from 5 to 6"),
        (
            lambda new: fields(new)["pair"].update(uniqueItems=True),
            f"{SPEC} pair: uniqueItems changed from any to True",
        ),
        (
            lambda new: fields(new)["pair"]["prefixItems"][1].update(type="string"),
            f"{SPEC} pair prefixItems 1: type changed from integer to string",
        ),
        (lambda new: fields(new)["pair"]["prefixItems"].pop(), f"{SPEC} pair prefixItems: changed"),
        (
            lambda new: fields(new)["pair"].update(items={"type": "string"}),
            f"{SPEC} pair items: type changed from any to string",
        ),
        (lambda new: fields(new)["device"].update(allOf=[{"minLength": 4}]), f"{SPEC} device allOf: changed"),
        (
            lambda new: fields(new)["device"].update({"not": {"const": "cpu"}}),
            f"{SPEC} device: not changed from any to {{'const': 'cpu'}}",
        ),
        (
            lambda new: fields(new)["labels"]["anyOf"][0].update(maxLength=2),
            f"{SPEC} labels: maxLength lowered from 3 to 2",
        ),
        (
            lambda new: schema(new, "Spec").update(additionalProperties={"type": "string"}),
            f"{SPEC} additionalProperties: type changed from any to string",
        ),
        (
            lambda new: paths(new)["/health"]["get"].update(security=[{"Key": []}]),
            "GET /health security: no key no longer enough",
        ),
        (
            lambda new: paths(new)["/jobs"]["get"]["security"].pop(),
            "GET /jobs security: Cookie no longer enough",
        ),
        (
            lambda new: paths(new)["/jobs"]["get"]["security"][0].update(Key=["admin"]),
            "GET /jobs security: Key no longer enough",
        ),
        (
            lambda new: fields(new)["epochs"].update(type="string"),
            f"{SPEC} epochs: type changed from integer to string",
        ),
        (
            lambda new: fields(new)["device"].update(enum=["cpu"]),
            f"{SPEC} device: enum narrowed from ['cpu', 'cuda'] to ['cpu']",
        ),
        (lambda new: fields(new)["device"].update(pattern="^c"), f"{SPEC} device: pattern changed from any to ^c"),
        (lambda new: fields(new)["name"]["anyOf"].pop(), f"{SPEC} name: null no longer taken"),
        (lambda new: fields(new)["sam"]["anyOf"].pop(0), f"{SPEC} sam: object plain no longer taken"),
        (
            lambda new: fields(new, "Plain")["rho"].update(type="integer"),
            f"{SPEC} sam rho: type changed from number to integer",
        ),
        (
            lambda new: schema(new, "Spec").update(additionalProperties=False),
            f"{SPEC} additionalProperties: any no longer taken",
        ),
        (lambda new: submit(new)["responses"].pop("422"), "POST /jobs 422: response status removed"),
        (lambda new: submit(new)["responses"]["201"].pop("headers"), f"{JOB} header Location: removed"),
        (lambda new: submit(new)["responses"]["201"].pop("content"), f"{JOB}: application/json removed"),
        (lambda new: fields(new, "Job").pop("next"), f"{JOB} next: property removed"),
        (lambda new: schema(new, "Job").update(required=[]), f"{JOB} id: no longer always there"),
        (
            lambda new: fields(new, "Job")["id"].update(type=["string", "null"]),
            f"{JOB} id: may now be null",
        ),
        (
            lambda new: fields(new, "Job").update(id={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            f"{JOB} id: may now be null",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_taken_away_is_named(change: Change, found: str) -> None:
    new = copy.deepcopy(BASE)
    change(new)

    assert incompatibilities(BASE, new) == [found]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda new: None, id="nothing"),
        pytest.param(lambda new: paths(new).update({"/new": {"get": {"responses": {}}}}), id="a path"),
        pytest.param(lambda new: submit(new)["parameters"].append(parameter("who")), id="a parameter"),
        pytest.param(lambda new: submit(new)["responses"].update({"429": {}}), id="a status"),
        pytest.param(lambda new: fields(new).update(seed={"type": "integer"}), id="a field to send"),
        pytest.param(lambda new: fields(new)["epochs"].update(maximum=99, type="number"), id="more values"),
        pytest.param(lambda new: fields(new)["device"]["enum"].append("mps"), id="a value to send"),
        pytest.param(lambda new: fields(new)["sam"]["anyOf"].append({"type": "null"}), id="an alternative to send"),
        pytest.param(lambda new: fields(new, "Job").update(owner={"type": "string"}), id="a field of an answer"),
        pytest.param(lambda new: fields(new, "Job")["next"].update(type="string"), id="no null any more"),
        pytest.param(lambda new: schema(new, "Job")["required"].append("next"), id="always there"),
        pytest.param(lambda new: schema(new, "Job").update(description="Other words."), id="words"),
        pytest.param(lambda new: fields(new)["cap"]["anyOf"][0].update(type="number"), id="any number to send"),
        pytest.param(lambda new: fields(new, "Job")["loss"]["anyOf"][0].update(type="integer"), id="integers only"),
        pytest.param(
            lambda new: fields(new, "Job")["state"]["anyOf"].__setitem__(0, {"enum": ["queued", "done"]}),
            id="a value of an answer",
        ),
        pytest.param(
            lambda new: fields(new, "Job")["state"]["anyOf"].append({"type": "object"}), id="an object of an answer"
        ),
        pytest.param(lambda new: fields(new)["labels"]["anyOf"].reverse(), id="another order"),
        pytest.param(lambda new: rename(new, "Plain", "sam__Plain"), id="another name"),
        pytest.param(lambda new: paths(new)["/jobs"]["get"]["security"].append({}), id="no key needed"),
        pytest.param(lambda new: fields(new)["epochs"].pop("maximum"), id="no bound any more"),
    ],
)
def test_what_is_added_is_no_matter(change: Change) -> None:
    new = copy.deepcopy(BASE)
    change(new)

    assert incompatibilities(BASE, new) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda new: tags(new).update(maxProperties=1), id="fewer"),
        pytest.param(lambda new: tags(new)["propertyNames"].update(maxLength=1), id="shorter names"),
        pytest.param(
            lambda new: next(iter(tags(new)["patternProperties"].values())).update(maxLength=1), id="shorter values"
        ),
        pytest.param(lambda new: fields(new, "Job")["artifacts"].pop("items"), id="any items"),
        pytest.param(lambda new: fields(new, "Job")["metrics"].pop("additionalProperties"), id="any values"),
        pytest.param(lambda new: fields(new, "Job")["created_at"].pop("format"), id="any text"),
        pytest.param(lambda new: paths(new)["/healthz"]["get"].update(security=[{"HTTPBearer": []}]), id="a key"),
        pytest.param(lambda new: paths(new)["/jobs"]["get"]["security"].pop(), id="no cookie"),
        pytest.param(lambda new: new["components"]["securitySchemes"]["APIKeyCookie"].update(name="x"), id="a cookie"),
    ],
)
def test_what_our_own_document_loses_is_found(change: Change) -> None:
    new = copy.deepcopy(REAL)
    change(new)

    assert incompatibilities(REAL, new)


def test_our_own_document_is_compatible_with_itself_whatever_its_schemas_are_called() -> None:
    new = copy.deepcopy(REAL)
    rename(new, "Step-Input", "lowland__spec__schedules__Step-Input")

    assert incompatibilities(REAL, REAL) == []
    assert incompatibilities(REAL, new) == []


@pytest.mark.parametrize("name", REAL["components"]["schemas"])
def test_every_keyword_counts(name: str) -> None:
    """Without it more is taken and less is promised; with it, the other way round."""
    whole = sent_and_answered(name)
    for place, keyword in leaves(whole["components"]["schemas"][name]):
        less = {**whole, "components": {"schemas": {**whole["components"]["schemas"]}}}
        less["components"]["schemas"][name] = copy.deepcopy(whole["components"]["schemas"][name])
        node = less["components"]["schemas"][name]
        for step in place:
            node = node[step]
        del node[keyword]

        lost, gained = incompatibilities(whole, less), incompatibilities(less, whole)

        assert {line.split()[2].rstrip(":") for line in lost} == {"200"}, (place, keyword)
        assert {line.split()[2].rstrip(":") for line in gained} == {"body"}, (place, keyword)


def sent_and_answered(name: str) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
    operation = {"requestBody": content, "responses": {"200": content}}
    return {"paths": {"/": {"post": operation}}, "components": REAL["components"]}


def leaves(node: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where a schema says what fits it, without what has schemas in it."""
    for keyword, value in node.items():
        if keyword in {"properties", "patternProperties"}:
            inner = {(keyword, name): part for name, part in value.items()}
        elif keyword in {"anyOf", "oneOf", "prefixItems"}:
            inner = {(keyword, at): part for at, part in enumerate(value)}
        else:
            inner = {(keyword,): value} if isinstance(value, dict) and keyword not in HARMLESS else {}
            is_said_anyway = (keyword == "type" and node.keys() & {"const", "enum"}) or value is True
            if not inner and not is_said_anyway and keyword not in HARMLESS | {"$ref"}:
                yield (), keyword
        for place, part in inner.items():
            yield from ((place + deeper, found) for deeper, found in leaves(part))


def tags(new: dict[str, Any]) -> dict[str, Any]:
    return fields(new, "JobSpec-Input")["tags"]
