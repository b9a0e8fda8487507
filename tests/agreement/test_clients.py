"""The two clients have the same methods, with the same arguments and results; every route of the API has one."""

import inspect
import json
from collections.abc import AsyncGenerator, Generator
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from lowland import AsyncClient, Client
from lowland.networks import Trained
from tests.docs.pages import DOCS

NAMES = sorted(name for name in vars(Client) if not name.startswith("_"))
#: By which method a client asks for an operation; None: it is for browsers, for monitoring, or for whoever runs the
#: server.
METHODS = {
    "submit_job": "submit",
    "list_jobs": "list",
    "get_job": "get",
    "delete_job": "delete",
    "cancel_job": "cancel",
    "pause_job": "pause",
    "resume_job": "resume",
    "retry_job": "retry",
    "cancel_jobs": "cancel_all",
    "list_checkpoints": "checkpoints",
    "list_deliveries": "deliveries",
    "get_series": "metrics",
    "follow_job": "follow",
    "get_logs": "logs",
    "list_artifacts": "get",
    "get_artifact": "download",
    "head_artifact": "download",
    "list_variants": "variants",
    "list_datasets": "datasets",
    "list_models": "models",
    "list_optimizers": "optimizers",
    "list_schedules": "schedules",
    "list_functions": "functions",
    "get_schema": None,
    "list_workers": "workers",
    "drain_worker": "drain",
    "get_readiness": "ready",
    "get_health": None,
    "get_metrics": None,
    "read_audit": None,
    "get_session": None,
    "open_session": None,
    "close_session": None,
}


def test_both_clients_have_the_same_methods() -> None:
    assert sorted(name for name in vars(AsyncClient) if not name.startswith("_")) == NAMES


@pytest.mark.parametrize("name", ["__init__", *NAMES])
def test_a_method_takes_and_gives_the_same_in_both(name: str) -> None:
    blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)

    assert parameters(awaited) == parameters(blocking)
    assert iterated(hints(awaited)["return"]) == hints(blocking)["return"]
    assert inspect.getdoc(awaited) if name != "__init__" else True


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    listed = list(inspect.signature(function).parameters.values())[1:]
    return [(each.name, (each.kind, each.default), hints(function)[each.name]) for each in listed]


def hints(function: Any) -> dict[str, Any]:
    return get_type_hints(function, localns={"Trained": Trained})


def iterated(hint: Any) -> Any:
    return Generator[get_args(hint)[0]] if get_origin(hint) is AsyncGenerator else hint


def test_every_operation_has_a_method() -> None:
    paths = json.loads((DOCS / "reference" / "openapi.json").read_text())["paths"]
    operations = {each["operationId"] for path in paths.values() for each in path.values() if "operationId" in each}

    assert operations == set(METHODS)
    assert {name for name in METHODS.values() if name} <= set(NAMES)
