"""The OpenAPI document says what the server does. The `http` fixture checks everywhere that answers are declared."""

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema
import openapi_spec_validator
import pytest

from api.openapi import json_body
from api.problems import KINDS
from lowland.spec import JobSpec
from tests.api.conftest import Worker


def test_every_route_has_a_stable_name_a_summary_and_a_tag(document: dict[str, Any]) -> None:
    named = {operation["operationId"]: (method, path) for method, path, operation in operations(document)}

    assert named == {
        "submit_job": ("post", "/jobs"),
        "list_jobs": ("get", "/jobs"),
        "cancel_jobs": ("post", "/jobs/cancel"),
        "get_job": ("get", "/jobs/{job_id}"),
        "delete_job": ("delete", "/jobs/{job_id}"),
        "list_checkpoints": ("get", "/jobs/{job_id}/checkpoints"),
        "cancel_job": ("post", "/jobs/{job_id}/cancel"),
        "pause_job": ("post", "/jobs/{job_id}/pause"),
        "resume_job": ("post", "/jobs/{job_id}/resume"),
        "retry_job": ("post", "/jobs/{job_id}/retry"),
        "get_series": ("get", "/jobs/{job_id}/metrics"),
        "follow_job": ("get", "/jobs/{job_id}/events"),
        "get_logs": ("get", "/jobs/{job_id}/logs"),
        "list_workers": ("get", "/workers"),
        "drain_worker": ("post", "/workers/{worker_id}/drain"),
        "list_artifacts": ("get", "/jobs/{job_id}/artifacts"),
        "head_artifact": ("head", "/jobs/{job_id}/artifacts/{name}"),
        "list_deliveries": ("get", "/jobs/{job_id}/webhooks"),
        "get_artifact": ("get", "/jobs/{job_id}/artifacts/{name}"),
        "list_variants": ("get", "/variants"),
        "list_datasets": ("get", "/datasets"),
        "list_models": ("get", "/models"),
        "list_optimizers": ("get", "/optimizers"),
        "list_schedules": ("get", "/schedules"),
        "list_functions": ("get", "/functions"),
        "get_schema": ("get", "/schema"),
        "read_audit": ("get", "/audit"),
        "open_session": ("post", "/session"),
        "get_session": ("get", "/session"),
        "close_session": ("delete", "/session"),
        "get_health": ("get", "/healthz"),
        "get_readiness": ("get", "/readyz"),
        "get_metrics": ("get", "/metrics"),
    }
    assert all(operation["summary"] and operation["tags"] for _, _, operation in operations(document))


def test_every_error_is_declared_as_a_problem_document(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        failures = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert failures or path == "/healthz"
        for answer in failures.values():
            [(media_type, content)] = answer["content"].items()
            assert media_type == "application/problem+json"
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_body_has_examples_that_fit_its_schema(document: dict[str, Any]) -> None:
    for where, content in bodies(document):
        given = [content["example"]] if "example" in content else examples_of(content, document)
        assert given, f"{where} has no example"
        schema = {**content["schema"], "components": document["components"]}
        for example in given:
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(example)


def test_every_status_shows_its_own_kinds_of_problems(document: dict[str, Any]) -> None:
    kinds = {f"urn:lowland:problem:{kind.slug}": kind for kind in KINDS.values()}
    for _, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/problem+json")
            if content:
                examples = examples_of(content, document)
                assert examples, f"{path} {status}"
                assert {example["status"] for example in examples} == {int(status)}
                assert answer["description"] == "; ".join(kinds[example["type"]].title for example in examples)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    components = document["components"]
    found = set(references(document))

    assert {"#/components/schemas/JobSpec-Input", "#/components/schemas/Job"} <= found
    assert found <= {f"#/components/{kind}/{name}" for kind, named in components.items() for name in named}


def test_parameters_are_described(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/jobs"]["get"]["parameters"]

    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("status", "query", False),
        ("dataset", "query", False),
        ("variant", "query", False),
        ("model", "query", False),
        ("name", "query", False),
        ("tag", "query", False),
        ("owner", "query", False),
        ("limit", "query", False),
        ("cursor", "query", False),
    ]
    assert all(each["description"] for each in parameters)


def test_the_examples_are_jobs(document: dict[str, Any], http: httpx2.Client) -> None:
    body = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]

    assert body["examples"]
    for example in body["examples"].values():
        assert http.post("/jobs", json=example["value"]).status_code == 201


def test_documents_fit_their_schemas(document: dict[str, Any], http: httpx2.Client, worker: Worker) -> None:
    def check(name: str, value: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    shorthand = {"dataset": "digits", "sam": {"rho": 0.1}, "optimizer": "adamw", "schedule": {"warmup_epochs": 0}}
    hook = {"webhook": {"url": "https://example.org/"}}
    queued = http.post("/jobs", json={**shorthand, **hook}).json()
    lease = worker.claim()
    check("WorkerList", http.get("/workers").json())
    worker.settle(lease, "failed")
    check("JobSpec-Input", shorthand)
    check("JobSpec-Input", queued["spec"])
    check("Job", queued)
    check("Job", http.get(queued["links"]["self"]).json())
    check("JobPage", http.get("/jobs").json())
    check("DryRun", http.post("/jobs?dry_run=true", json=shorthand).json())
    check("CheckpointList", http.get(f"/jobs/{queued['id']}/checkpoints").json())
    check("DeliveryList", http.get(f"/jobs/{queued['id']}/webhooks").json())
    check("ArtifactList", http.get(f"/jobs/{queued['id']}/artifacts").json())
    check("Cancelled", http.post("/jobs/cancel?all=true").json())
    check("Readiness", http.get("/readyz").json())
    check("Problem", http.get("/jobs/1").json())
    check("Problem", http.post("/jobs", json={"epochs": "x"}).json())
    check("Problem", http.post(queued["links"]["cancel"]).json())
    with pytest.raises(jsonschema.ValidationError):
        check("JobSpec-Input", {"dataset": "digits", "epcohs": 1})


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)


def test_kinds_of_problems_are_told_apart() -> None:
    slugs = [kind.slug for kind in KINDS.values()]

    assert len(set(slugs)) == len(slugs)


def test_a_body_is_declared_by_the_name_its_schema_has(document: dict[str, Any]) -> None:
    declared = json_body(JobSpec, {})["requestBody"]["content"]["application/json"]["schema"]

    assert declared["$ref"].rpartition("/")[2] in document["components"]["schemas"]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":  # what all of them take
                continue
            yield method, path, operation


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What goes in and out as JSON."""
    for method, path, operation in operations(document):
        for name, body in {"body": operation.get("requestBody", {}), **operation["responses"]}.items():
            for media_type, content in body.get("content", {}).items():
                if media_type in {"application/json", "application/problem+json"}:
                    yield f"{method} {path} {name}", content


def examples_of(content: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    """The values of its examples, also of those that stand among the components."""
    given = content.get("examples", {}).values()
    named = document["components"]["examples"]
    return [named[each["$ref"].rpartition("/")[2]]["value"] if "$ref" in each else each["value"] for each in given]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
