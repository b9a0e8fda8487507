"""LOWLAND_MAX_SAMPLES_SEEN: how much a job may ask for."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from api import ApiSettings
from tests.api.answers import assert_problem
from tests.api.callers import server

BOUND = 10_000
OWN = {"name": "table", "path": "a.csv", "target": "y"}


@pytest.fixture
def bounded(settings: ApiSettings) -> Iterator[httpx2.Client]:
    with server(settings, max_samples_seen=BOUND) as http:
        yield http


@pytest.mark.parametrize("path", ["/jobs", "/jobs?dry_run=true"])
@pytest.mark.parametrize(
    ("spec", "field", "value", "said"),
    [
        (  # 1438 samples
            {"dataset": "digits", "epochs": 7},
            "epochs",
            7,
            "epochs is 7 over 1438 training samples, beyond this server's bound of 10000 (epochs × samples); "
            "give epochs of at most 6, or dataset.limit of at most 1428",
        ),
        ({"dataset": {"name": "digits", "limit": 101}, "epochs": 100}, "epochs", 100, "at most 99, or dataset.limit"),
        ({"dataset": "kmnist", "epochs": 1}, "epochs", 1, "give dataset.limit of at most 10000"),
        (
            {"dataset": OWN, "epochs": 4},
            "dataset.limit",
            None,
            "needs it for people's own files; give dataset.limit of",
        ),
    ],
    ids=["all of a set", "part of a set", "one epoch is too many", "unknown"],
)
def test_a_job_that_asks_for_more_is_refused(
    bounded: httpx2.Client, spec: dict[str, Any], field: str, value: object, said: str, path: str
) -> None:
    (error,) = assert_problem(bounded.post(path, json=spec), 422, "spec-invalid")["errors"]

    assert (error["field"], error["value"]) == (field, value)
    assert said in error["detail"]
    assert bounded.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "spec",
    [
        {"dataset": "digits", "epochs": 6},
        {"dataset": {"name": "digits", "limit": 100}, "epochs": 100},
        {"dataset": {"name": "linear", "samples": 1000}, "epochs": 10},
        {"dataset": {**OWN, "limit": 2500}, "epochs": 4},
        {"function": "x**2", "start": [1.0], "steps": 20_000},
    ],
    ids=["all of a set", "part of a set", "as many as it may", "own files", "a function"],
)
def test_a_job_that_does_not_is_taken(bounded: httpx2.Client, spec: dict[str, Any]) -> None:
    assert bounded.post("/jobs", json=spec).status_code == 201


def test_by_default_there_is_no_bound(http: httpx2.Client) -> None:
    assert http.post("/jobs", json={"dataset": "svhn", "epochs": 10_000}).status_code == 201
