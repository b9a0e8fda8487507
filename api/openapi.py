"""What the OpenAPI document says beyond what FastAPI reads off the routes: bodies we read ourselves, and problems."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from fastapi.security import APIKeyCookie
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.access import SESSION_COOKIE
from api.examples import add_examples
from api.problem_examples import problem_examples
from api.problems import Problem
from api.requests import REQUEST_ID_HEADER
from lowland.spec import JobSpec
from lowland.spec.catalogue import DIALECT
from lowland.spec.unions import tagged_union

#: Ends the names of schemas of what comes in; the same models look otherwise when they go out.
_INPUT: Final = "-Input"


def json_body(model: type[JobSpec], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a route that reads its body by `read_json` declares about it, for `openapi_extra=`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}{_INPUT}"}
    content = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def header_parameters(**descriptions: str) -> dict[str, Any]:
    """What a route that reads headers off the request declares, for `openapi_extra=`; all may be left out."""
    return {
        "parameters": [
            {
                "name": name.replace("_", "-"),
                "in": "header",
                "required": False,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in descriptions.items()
        ]
    }


def describe(app: FastAPI, lists: Mapping[str, Callable[[], BaseModel]]) -> None:
    """Let the app's OpenAPI document hold the schemas that `json_body` and `problems` refer to, and examples.

    Args:
        lists: what some paths answer, which is long: the document shows how it begins.
    """
    from_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = from_routes()
        document["components"]["schemas"] |= _schemas()
        document["components"]["examples"] = problem_examples()
        _name_requests(document)
        _name_sessions(document)
        for path, made in lists.items():
            answer = document["paths"][path]["get"]["responses"]["200"]
            answer["content"]["application/json"]["example"] = _beginning(made().model_dump(mode="json"))
        add_examples(document)
        _suit_generators(document["components"]["schemas"])
        return document

    app.openapi = openapi


def _beginning(answer: dict[str, Any]) -> dict[str, Any]:
    """With two entries of each list."""
    return {name: value[:2] if isinstance(value, list) else value for name, value in answer.items()}


def _suit_generators(schemas: dict[str, Any]) -> None:
    """Generators of clients take a schema's title for its class, and choke on two of one name; on objects that are
    defaults, which are told in words; and on a constant beside something else that a value may be.
    """
    for name, schema in schemas.items():
        schema["title"] = name.replace("-", "")
        for part in schema.get("properties", {}).values():
            for alternative in part.get("anyOf", []):
                if "const" in alternative:
                    alternative |= {"type": "string", "enum": [alternative.pop("const")]}
            if isinstance(part.get("default"), dict):
                default = json.dumps(part.pop("default"))
                part["description"] = f"{part.get('description', '')} Default: {default}".lstrip()


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


def _name_sessions(document: dict[str, Any]) -> None:
    """Say that a session's cookie does wherever a key must be shown."""
    cookie = APIKeyCookie(name=SESSION_COOKIE)
    document["components"]["securitySchemes"][cookie.scheme_name] = cookie.model.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    for path in document["paths"].values():
        for name, operation in path.items():
            if name != "parameters" and {} not in operation.get("security", [{}]):
                operation["security"].append({cookie.scheme_name: []})


@cache
def _schemas() -> dict[str, Any]:
    spec_schemas = _spec_schemas(f"#/components/schemas/{{model}}{_INPUT}")
    return {name + _INPUT: schema for name, schema in spec_schemas.items()} | _problem_schemas()


def job_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a job spec as it may be written, with what it refers to in `$defs`."""
    schemas = _spec_schemas("#/$defs/{model}")
    return {"$schema": DIALECT, **schemas.pop(JobSpec.__name__), "$defs": schemas}


def _spec_schemas(ref_template: str) -> dict[str, Any]:
    _, document = models_json_schema([(JobSpec, "validation")], ref_template=ref_template)
    schemas = document["$defs"]
    properties = schemas[JobSpec.__name__]["properties"]
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
