"""Examples for the OpenAPI document: of every answer, made from its schema, and of every kind of problem.

What a schema alone makes dull (`text`, 1, false) is given here by the field's name, or by its model's and its name. A
route needs nothing of its own.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from lowland.spec import JobSpec

Schema = Mapping[str, Any]

_JSON: Final = "application/json"
_ID: Final = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"
_AT: Final = "2026-11-02T09:30:00Z"
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_WORKER: Final = "gpu-box-1"
_SERIES: Final = {"train_loss": 0.112, "validation_accuracy": 0.972}
#: By `Model.field`, or by `field` of any model.
_VALUES: Final[Mapping[str, Any]] = {
    "Job.status": "succeeded",
    "Job.terminal": True,
    "Job.requested": None,
    "Job.queue": None,
    "Job.stop_reason": None,
    "Job.notices": [],
    "Job.error": None,
    "Job.metrics": _SERIES,
    "Job.test_accuracy": 0.968,
    "Attempt.outcome": "succeeded",
    "Attempt.detail": None,
    "Artifact.name": "model.safetensors",
    "Artifact.media_type": "application/octet-stream",
    "Links.self": f"/jobs/{_ID}",
    **{f"Links.{verb}": f"/jobs/{_ID}/{verb}" for verb in ("pause", "resume", "retry", "cancel")},
    "Objective.name": "validation_accuracy",
    "Objective.value": 0.972,
    "Objective.best": 0.972,
    "Progress.epoch": 5,
    "Progress.epochs": 5,
    "Progress.step": 60,
    "Progress.steps": 60,
    "Progress.fraction": 1.0,
    "Progress.eta_s": None,
    "Progress.samples_per_s": 5210.4,
    "QueuePlace.reason": "every machine that fits is busy",
    "Advice.field": "optimizer.lr",
    "Advice.value": 3.0,
    "Advice.detail": "optimizer.lr is 3.0, which is unusual for sgd; 0.01 to 0.5 is usual",
    "Cost.seconds": 12.5,
    "Cost.seconds_from": "3 finished jobs of the same kind",
    "StoredCheckpoint.name": "checkpoint-60.safetensors",
    "StoredCheckpoint.step": 60,
    "Series.names": list(_SERIES),
    "Series.last": "1793611800000-0",
    "SeriesPoint.id": "1793611800000-0",
    "SeriesPoint.step": 60,
    "SeriesPoint.epoch": 5,
    "SeriesPoint.values": _SERIES,
    "Worker.id": _WORKER,
    "Worker.alive": True,
    "Worker.labels": ["lab"],
    "Device.name": "cuda:0",
    "Device.model": "NVIDIA H100 80GB HBM3",
    "Device.memory_gb": 80.0,
    "AuditEntry.action": "submit_job",
    "AuditEntry.status": 201,
    "AuditEntry.key_id": "k7h2",
    "AuditEntry.subject": _ID,
    "Session.scopes": ["read", "submit"],
    "Session.expires_at": None,
    "Session.csrf_token": None,
    "accuracy": 0.972,
    "best_accuracy": 0.972,
    "attempt": 1,
    "device": "cuda:0",
    "device_model": "NVIDIA H100 80GB HBM3",
    "href": f"/jobs/{_ID}/artifacts/model.safetensors",
    "id": _ID,
    "job": _ID,
    "job_id": _ID,
    "key": "lowland_...",
    "next": None,
    "owner": "ada",
    "request_id": "01a20eac4e6a74febc8899ef8f3dca2e",
    "sha256": _SHA256,
    "size_bytes": 310_416,
    "url": "https://example.org/lowland",
    "worker": _WORKER,
}


def add_examples(document: dict[str, Any]) -> None:
    """Give every JSON body of the document an example that has none, those of models as components."""
    made = document["components"].setdefault("examples", {})
    for content in _json_bodies(document):
        schema = content["schema"]
        if "example" in content or "examples" in content:
            continue
        name = _name(schema)
        if not name:
            content["example"] = _example(schema, document)
            continue
        made[name] = {"value": _example(schema, document)}
        content["examples"] = {name: {"$ref": f"#/components/examples/{name}"}}


def _json_bodies(document: Schema) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for operation in (part for method, part in path.items() if method != "parameters"):
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                if _JSON in body.get("content", {}):
                    yield body["content"][_JSON]


def _name(schema: Schema) -> str:
    return schema.get("$ref", "").rpartition("/")[2]


def _example(schema: Schema, document: Schema, model: str = "") -> Any:
    if name := _name(schema):
        if name == JobSpec.__name__:
            return _spec()
        return _example(document["components"]["schemas"][name], document, name)
    for chosen in ("const", "example", "default"):
        if chosen in schema:
            return schema[chosen]
    if "enum" in schema:
        return schema["enum"][0]
    if parts := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return _example(parts[0], document, model)
    match schema.get("type"):
        case "object":
            return {
                name: _VALUES[key] if (key := _known(model, name)) else _example(field, document)
                for name, field in schema.get("properties", {}).items()
            }
        case "array":
            return [_example(schema["items"], document)] if "items" in schema else []
        case "string":
            return _AT if schema.get("format") == "date-time" else "text"
        case "integer":
            return max(schema.get("minimum", 1), 1)
        case "number":
            return 0.5
        case "boolean":
            return False
        case _:
            return None


def _known(model: str, name: str) -> str:
    return next((key for key in (f"{model}.{name}", name) if key in _VALUES), "")


@cache
def _spec() -> Any:
    spec = JobSpec.parse({"dataset": "digits", "sam": {"variant": "sam", "rho": 0.1}, "epochs": 5})
    return json.loads(spec.model_dump_json())
