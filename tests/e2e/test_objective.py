"""The objective is in the job whatever its task; accuracy is classification's alone."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from lowland.client import Client
from lowland.spec import Status
from lowland.spec.resource import Objective
from tests.e2e.training import SMALL, finished
from tests.stack.house import House, get_json


@pytest.mark.parametrize(
    ("spec", "name", "direction"),
    [
        pytest.param({**SMALL, "epochs": 3}, "validation_accuracy", "maximize", id="classification"),
        pytest.param({"dataset": "diabetes", "epochs": 3}, "validation_r2", "maximize", id="regression"),
        pytest.param({"function": "booth", "start": [-5.0, -5.0], "steps": 30}, "value", "minimize", id="function"),
    ],
)
def test_a_job_of_every_task_has_its_objective(
    running: House, client: Client, spec: Mapping[str, Any], name: str, direction: Literal["maximize", "minimize"]
) -> None:
    submitted = client.submit(dict(spec))
    assert (submitted.objective, submitted.accuracy) == (None, None)

    job = finished(client, submitted)

    assert job.status == Status.SUCCEEDED, job.error
    answer = get_json(f"{running.url}/jobs/{job.id}/metrics")
    assert answer is not None
    values = [point["values"][name] for point in answer["points"] if name in point["values"]]
    best = max(values) if direction == "maximize" else min(values)
    # weights are selected by the best epoch; a function ends where it ends
    value = values[-1] if name == "value" else best
    assert job.objective == Objective(name=name, value=value, best=best, direction=direction)
    assert job.best_accuracy == job.accuracy == (value if name == "validation_accuracy" else None)
    assert (job.test_accuracy is not None) == (name == "validation_accuracy")


def test_without_a_validation_part_the_objective_is_the_training_loss(client: Client) -> None:
    spec = {**SMALL, "dataset": {"name": "digits", "limit": 500, "validation_fraction": 0}, "epochs": 2}

    job = finished(client, client.submit(spec))

    assert job.objective is not None
    assert (job.objective.name, job.objective.direction) == ("train_loss", "minimize")
    assert job.objective.value == job.metrics["train_loss"]
    assert (job.accuracy, job.best_accuracy) == (None, None)
    assert job.test_accuracy is not None
