"""What a changed OpenAPI document takes away is found and named; what it adds is not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from docs.compatibility import incompatibilities

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
            "get": {"operationId": "list", "responses": {"200": {}}},
        },
        "/health": {"get": {"operationId": "health", "responses": {"200": {}}}},
    },
    "components": {
        "parameters": {"Id": {"name": "X-Id", "in": "header", "schema": {"type": "string", "maxLength": 9}}},
        "schemas": {
            "Spec": {
                "type": "object",
                "properties": {
                    "epochs": {"type": "integer", "minimum": 1, "maximum": 10},
                    "device": {"enum": ["cpu", "cuda"], "type": "string"},
                    "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "sam": {"anyOf": [{"$ref": "#/components/schemas/Plain"}, {"type": "string"}]},
                },
            },
            "Plain": {"type": "object", "properties": {"rho": {"type": "number"}}},
            "Job": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "next": {"type": ["string", "null"]},
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
                },
                "required": ["id"],
            },
        },
    },
}
SPEC = "POST /jobs body"
JOB = "POST /jobs 201"

Change = Callable[[dict[str, Any]], object]


def paths(new: dict[str, Any]) -> dict[str, Any]:
    return new["paths"]


def submit(new: dict[str, Any]) -> dict[str, Any]:
    return new["paths"]["/jobs"]["post"]


def fields(new: dict[str, Any], name: str = "Spec") -> dict[str, Any]:
    return new["components"]["schemas"][name]["properties"]


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
            lambda new: fields(new)["epochs"].update(multipleOf=1, exclusiveMaximum=9),
            f"{SPEC} epochs: exclusiveMaximum lowered from any to 9",
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
        (lambda new: fields(new)["sam"]["anyOf"].pop(0), f"{SPEC} sam: Plain no longer taken"),
        (
            lambda new: fields(new, "Plain")["rho"].update(type="integer"),
            f"{SPEC} sam rho: type changed from number to integer",
        ),
        (
            lambda new: schema(new, "Spec").update(additionalProperties=False),
            f"{SPEC}: additionalProperties no longer taken",
        ),
        (lambda new: submit(new)["responses"].pop("422"), "POST /jobs 422: response status removed"),
        (lambda new: submit(new)["responses"]["201"].pop("headers"), f"{JOB} header Location: removed"),
        (lambda new: submit(new)["responses"]["201"].pop("content"), f"{JOB}: application/json removed"),
        (lambda new: fields(new, "Job").pop("next"), f"{JOB} next: property removed"),
        (lambda new: schema(new, "Job").update(required=[]), f"{JOB} id: no longer always there"),
        (
            lambda new: fields(new, "Job")["id"].update(type=["string", "null"]),
            f"{JOB} id: type changed from string to ['string', 'null']",
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
    ],
)
def test_what_is_added_is_no_matter(change: Change) -> None:
    new = copy.deepcopy(BASE)
    change(new)

    assert incompatibilities(BASE, new) == []
