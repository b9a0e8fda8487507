"""Examples for the OpenAPI document: of every answer, made from its schema.

What a schema alone makes dull (`text`, 1, false) is given here by the field's name, or by its model's and its name;
what the code itself says of a job is taken from it. A route needs nothing of its own, unless it fills a model
in another way.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from api.dry_run import cost
from ledger.chores import Told
from ledger.documents import Waiting, queue_place
from lowland.spec import JobSpec
from lowland.spec.resource import DryRun, Job
from lowland.spec.warnings import unusual

Schema = Mapping[str, Any]

JOB_ID: Final = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"
REQUEST_ID: Final = "01a20eac4e6a74febc8899ef8f3dca2e"
WORKER: Final = "gpu-box-1"
_JSON: Final = "application/json"
_AT: Final = "2026-11-02T09:30:00Z"
_STARTED_AT: Final = "2026-11-02T09:30:01Z"
_ENDED_AT: Final = "2026-11-02T09:30:13Z"
_DELIVERED_AT: Final = "2026-11-02T09:30:14Z"
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SERIES: Final = {"train_loss": 0.112, "validation_accuracy": 0.972}
#: Of 5 epochs of digits in batches of 64.
_STEPS: Final = 105
#: By `Model.field`, or by `field` of any model.
VALUES: Final[Mapping[str, Any]] = {
    "Readiness.version": "0.1.0",
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
    "Links.self": f"/jobs/{JOB_ID}",
    **{f"Links.{verb}": f"/jobs/{JOB_ID}/{verb}" for verb in ("pause", "resume", "retry", "cancel")},
    "Objective.name": "validation_accuracy",
    "Objective.value": 0.972,
    "Objective.best": 0.972,
    "Progress.epoch": 5,
    "Progress.epochs": 5,
    "Progress.step": _STEPS,
    "Progress.steps": _STEPS,
    "Progress.fraction": 1.0,
    "Progress.eta_s": None,
    "Progress.samples_per_s": 540.2,
    "StoredCheckpoint.name": f"checkpoint-00005-{_STEPS:09d}.pt",
    "StoredCheckpoint.step": _STEPS,
    "StoredCheckpoint.size_bytes": 1_148_530,
    "Series.names": list(_SERIES),
    "Series.last": "1-5",
    "SeriesPoint.id": "1-5",
    "SeriesPoint.at": _ENDED_AT,
    "SeriesPoint.step": _STEPS,
    "SeriesPoint.epoch": 5,
    "SeriesPoint.values": _SERIES,
    "DeliveryList.events": ["finished"],
    "DeliveryList.disabled_at": None,
    "DeliveryList.disabled_reason": None,
    "Delivery.id": Told(JOB_ID, "finished", "succeeded", datetime.fromisoformat(_ENDED_AT)).message_id,
    "Delivery.event": "finished",
    "Delivery.status": "succeeded",
    "Delivery.created_at": _ENDED_AT,
    "Delivery.state": "delivered",
    "Delivery.last_attempt_at": _DELIVERED_AT,
    "Delivery.response_status": 204,
    "Delivery.error": None,
    "Delivery.next_attempt_at": None,
    "Delivery.delivered_at": _DELIVERED_AT,
    "Worker.id": WORKER,
    "Worker.alive": True,
    "Worker.labels": ["lab"],
    "Worker.free": 0,
    "Device.name": "cuda:0",
    "Device.model": "NVIDIA H100 80GB HBM3",
    "Device.memory_gb": 80.0,
    "AuditEntry.action": "submit_job",
    "AuditEntry.status": 201,
    "AuditEntry.key_id": f"key_{_SHA256[:12]}",
    "AuditEntry.subject": JOB_ID,
    "Session.scopes": ["read", "submit"],
    "Session.expires_at": None,
    "Session.csrf_token": _SHA256,
    "accuracy": 0.972,
    "best_accuracy": 0.972,
    "attempt": 1,
    "device": "cuda:0",
    "device_model": "NVIDIA H100 80GB HBM3",
    "ended_at": _ENDED_AT,
    "finished_at": _ENDED_AT,
    "href": f"/jobs/{JOB_ID}/artifacts/model.safetensors",
    "id": JOB_ID,
    "job": JOB_ID,
    "key": "lowland_...",
    "next": None,
    "owner": "ada",
    "request_id": REQUEST_ID,
    "sha256": _SHA256,
    "size_bytes": 378_312,
    "started_at": _STARTED_AT,
    "url": "https://example.org/lowland",
    "worker": WORKER,
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
        if name in _MADE:
            return _MADE[name](document)
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
                name: VALUES[key] if (key := _known(model, name)) else _example(field, document)
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
    return next((key for key in (f"{model}.{name}", name) if key in VALUES), "")


def _spec(document: Schema) -> Any:
    del document
    return JobSpec.parse(_TRAINED).model_dump(mode="json")


def _dry_run(document: Schema) -> Any:
    """Of a job like that of the other examples, which has been trained."""
    spec = JobSpec.parse({**_TRAINED, "optimizer": {"name": "sgd", "lr": 3.0}})
    trained = Job.model_validate(_example(document["components"]["schemas"]["Job"], document, "Job"))
    idle = Waiting(
        ahead=0, higher=0, of_class=1, of_version=1, of_labels=1, devices=1, free=1, at_quota=0, reserved_by=""
    )
    run = DryRun(spec=spec, warnings=unusual(spec), estimate=cost(spec, [trained]), queue=queue_place(spec, idle))
    return run.model_dump(mode="json")


_TRAINED: Final = {"dataset": "digits", "sam": {"variant": "sam", "rho": 0.1}, "epochs": 5}
#: What the code itself makes without a ledger, by model.
_MADE: Final[Mapping[str, Callable[[Schema], Any]]] = {"JobSpec": _spec, "DryRun": _dry_run}
