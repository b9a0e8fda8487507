"""How long a job will take is told by finished jobs like it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowland.spec import JobSpec, Status
from lowland.spec.forecast import seconds_from
from lowland.spec.resource import Attempt, Job, Links

BODY: dict[str, Any] = {"dataset": "digits", "model": "mlp", "sam": {"rho": 0.05}, "epochs": 10}
FUNCTION: dict[str, Any] = {"function": "rosenbrock", "start": [-1.2, 1.0], "steps": 100}
BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)

SECONDS = st.integers(1, 10**6)
EPOCHS = st.integers(1, 10_000)


def spec(**changes: Any) -> JobSpec:
    return JobSpec.parse({**BODY, **changes})


def attempt(seconds: float | None) -> Attempt:
    ended_at = None if seconds is None else BEGAN_AT + timedelta(seconds=seconds)
    return Attempt(
        run=1,
        attempt=1,
        worker="w1",
        device="cpu:0",
        device_model="a CPU",
        started_at=BEGAN_AT,
        ended_at=ended_at,
        outcome="succeeded",
        detail=None,
    )


def job(of: JobSpec, *seconds: float | None, **changes: Any) -> Job:
    """A job that has succeeded, in runs that took so long."""
    fields: dict[str, Any] = dict.fromkeys(Job.model_fields) | {
        "id": "job-1",
        "status": Status.SUCCEEDED,
        "terminal": True,
        "spec": of,
        "created_at": BEGAN_AT,
        "attempt": 1,
        "attempts": [attempt(each) for each in seconds],
        "metrics": {},
        "notices": [],
        "artifacts": [],
        "links": Links(self="/", pause="/", resume="/", retry="/", cancel="/"),
    }
    return Job(**fields | changes)


def test_the_median_time_of_an_epoch_counts() -> None:
    finished = [job(spec(epochs=10), 20.0), job(spec(epochs=5), 50.0), job(spec(epochs=1), 3.0)]  # 2, 10 and 3 s each

    assert seconds_from(spec(epochs=4), finished) == (12.0, 3)


def test_of_functions_the_time_of_a_step_counts() -> None:
    finished = [job(JobSpec.parse({**FUNCTION, "steps": 50}), 1.0)]

    assert seconds_from(JobSpec.parse(FUNCTION), finished) == (2.0, 1)


def test_without_finished_jobs_nothing_is_told() -> None:
    assert seconds_from(spec(), []) == (None, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another", "tags": {"team": "vision"}},
        {"seed": 7},
        {"sam": {"rho": 0.5}},
        {"optimizer": {"lr": 0.01, "weight_decay": 0.1}},
        {"schedule": "constant"},
        {"label_smoothing": 0.2},
        {"priority": 3, "max_attempts": 1, "timeout_s": 60},
    ],
    ids=str,
)
def test_what_changes_no_steps_time_may_differ(changes: dict[str, Any]) -> None:
    assert seconds_from(spec(), [job(spec(**changes), 20.0)]) == (20.0, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "kmnist"},
        {"dataset": {"name": "digits", "limit": 100}},
        {"model": {"name": "mlp", "width": 8}},
        {"sam": "none"},
        {"sam": {"rho": 0.05, "active": {"every": 2}}},
        {"optimizer": "adam"},
        {"batch_size": 7},
        {"accumulate": 2},
        {"precision": "bf16"},
        {"resources": {"device": "cuda"}},
        {"resources": {"world_size": 2}},
    ],
    ids=str,
)
def test_a_job_that_differs_in_what_takes_time_tells_nothing(changes: dict[str, Any]) -> None:
    assert seconds_from(spec(), [job(spec(**changes), 20.0)]) == (None, 0)


@pytest.mark.parametrize(
    "untold",
    [job(spec(), 10.0, 10.0), job(spec()), job(spec(), None), job(spec(), 20.0, stop_reason="patience")],
    ids=["two runs", "no run", "a run without end", "stopped early"],
)
def test_a_job_that_did_not_go_through_in_one_run_tells_nothing(untold: Job) -> None:
    assert seconds_from(spec(), [untold, job(spec(), 30.0)]) == (30.0, 1)


@given(seconds=st.lists(SECONDS, min_size=1, max_size=5), fewer=EPOCHS, more=EPOCHS)
def test_more_epochs_never_take_less_time(seconds: list[int], fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    finished = [job(spec(), each) for each in seconds]

    short, long = (seconds_from(spec(epochs=epochs), finished)[0] for epochs in (fewer, more))

    assert short is not None
    assert long is not None
    assert short <= long
    assert long / more == pytest.approx(short / fewer)


@given(seconds=st.lists(SECONDS, min_size=1, max_size=5))
def test_a_job_takes_as_long_as_those_like_it_at_least_and_at_most(seconds: list[int]) -> None:
    finished = [job(spec(), each) for each in seconds]

    told, of = seconds_from(spec(), finished)

    assert of == len(seconds)
    assert told is not None
    assert min(seconds) <= told + 1e-6
    assert told <= max(seconds) + 1e-6
    assert seconds_from(spec(), reversed(finished)) == (told, of)
