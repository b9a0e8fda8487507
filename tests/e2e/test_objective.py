"""The objective is in the job whatever its task, accuracy is classification's alone; and the log says how it went."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import httpx2
import pytest

from lowland import Client
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


def test_an_engine_prints_what_it_reports(running: House, client: Client) -> None:
    job = finished(client, client.submit({**SMALL, "epochs": 3}))

    log = httpx2.get(f"{running.url}/jobs/{job.id}/logs").text.splitlines()

    heading, *lines = log
    assert heading.startswith(f"job_id={job.id} attempt=1 token=1")
    said = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO (.*)", line) for line in lines]
    kinds = [match[1].split()[0] for match in said if match]
    assert kinds[:2] == ["started", "epoch"]
    assert (kinds.count("epoch"), kinds.count("checkpoint"), kinds[-1]) == (3, 3, "result")
    assert any("epoch=3 " in line and " validation_accuracy=" in line for line in lines)
