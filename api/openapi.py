"""What the OpenAPI document says beyond what FastAPI reads off the routes: bodies we read ourselves, and problems."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.examples import add_examples
from api.problems import Problem, problem_examples
from api.requests import REQUEST_ID_HEADER
from lowland.spec import JobSpec
from lowland.spec.unions import tagged_union

#: Ends the names of schemas of what comes in; the same models look otherwise when they go out.
_INPUT: Final = "-Input"


def json_body(model: type[JobSpec], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a route that reads its body by `read_json` declares about it, for `openapi_extra=`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}{_INPUT}"}
    content = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document hold the schemas that `json_body` and `problems` refer to."""
    from_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = from_routes()
        document["components"]["schemas"] |= _schemas()
        document["components"]["examples"] = problem_examples()
        _name_requests(document)
        add_examples(document)
        return document

    app.openapi = openapi


def _name_requests(document: dict[str, Any]) -> None:
    """Say of every route that it takes an id for the request and answers one."""
    text = {"type": "string", "minLength": 1, "maxLength": 128}
    anything = {"type": "string"}  # none is refused
    given = "Names the request in logs and in the answer; printable ASCII without spaces and quotes, else it gets one."
    components = document["components"]
    components["parameters"] = {
        "RequestId": {"name": REQUEST_ID_HEADER, "in": "header", "description": given, "schema": anything}
    }
    components["headers"] = {"RequestId": {"description": "The request's id.", "schema": text}}
    for path in document["paths"].values():
        for operation in [part for name, part in path.items() if name != "parameters"]:
            for response in operation["responses"].values():
                response.setdefault("headers", {})[REQUEST_ID_HEADER] = {"$ref": "#/components/headers/RequestId"}
        path["parameters"] = [{"$ref": "#/components/parameters/RequestId"}]


@cache
def _schemas() -> dict[str, Any]:
    return _spec_schemas() | _problem_schemas()


def _spec_schemas() -> dict[str, Any]:
    _, document = models_json_schema([(JobSpec, "validation")], ref_template=f"#/components/schemas/{{model}}{_INPUT}")
    schemas = {name + _INPUT: schema for name, schema in document["$defs"].items()}
    properties = schemas[JobSpec.__name__ + _INPUT]["properties"]
    for name, field in JobSpec.model_fields.items():
        if union := tagged_union(field):
            properties[name] = _with_shorthand(properties[name], union.tag, list(union.members))
    return schemas


def _with_shorthand(schema: dict[str, Any], tag: str, names: list[str]) -> dict[str, Any]:
    """Add that a string stands for an object, and that the tag may be left out (so several alternatives may fit)."""
    kept = {key: value for key, value in schema.items() if key not in {"oneOf", "anyOf", "discriminator"}}
    shorthand = {
        "type": "string",
        "description": f'Stands for {{"{tag}": ...}}: {", ".join(names)}. Case does not matter.',
        "examples": names,
    }
    return {**kept, "anyOf": [shorthand, *_alternatives(schema)]}


def _alternatives(schema: dict[str, Any]) -> list[Any]:
    if "oneOf" in schema:
        return schema["oneOf"]
    if "anyOf" in schema:
        return [part for alternative in schema["anyOf"] for part in _alternatives(alternative)]
    return [schema]


def _problem_schemas() -> dict[str, Any]:
    _, document = models_json_schema([(Problem, "validation")], ref_template="#/components/schemas/{model}")
    return document["$defs"]
