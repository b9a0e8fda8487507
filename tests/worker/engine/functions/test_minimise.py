"""Minimising a function: the steps that plain arithmetic gives, and everything that is told of them."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from lowland.spec.functions import NAMED, Named
from lowland.spec.reports import Advanced, ArtifactWritten, Broken, EpochEnded, Finished, Started
from lowland.spec.resource import Objective
from tests.worker.engine.functions.jobs import PLAIN, job, path_of
from tests.worker.engine.running import run

SEEDS_FUNCTION = "x**6 + x**5 + 5*x**3 - 30*x**2 + 3*x"


def _f(x: float) -> float:
    return x**6 + x**5 + 5 * x**3 - 30 * x**2 + 3 * x


def _slope(x: float) -> float:
    return 6 * x**5 + 5 * x**4 + 15 * x**2 - 60 * x + 3


@pytest.mark.parametrize("variant", ["none", "sam"])
def test_the_steps_down_a_polynomial_are_those_of_plain_arithmetic(tmp_path: Path, variant: str) -> None:
    rho = {"none": 0.0, "sam": 0.005}[variant]
    sam = {"variant": variant, **({"rho": rho} if rho else {})}
    x, expected = 0.0, [0.0]
    for _ in range(30):
        perturbed = x + rho * math.copysign(1.0, _slope(x))
        x -= 0.01 * _slope(perturbed)
        expected.append(x)

    ended = run(job(function=SEEDS_FUNCTION, start=[0], sam=sam, steps=30, optimizer={**PLAIN, "lr": 0.01}), tmp_path)

    path = path_of(tmp_path)
    assert ended.status == 0
    assert [place["step"] for place in path] == list(range(31))
    assert [place["x"][0] for place in path] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert [place["value"] for place in path] == pytest.approx([_f(x) for x in expected], rel=1e-9, abs=1e-9)
    assert [place["gradient_norm"] for place in path] == pytest.approx(
        [abs(_slope(x)) for x in expected], rel=1e-9, abs=1e-9
    )
    assert [place["learning_rate"] for place in path] == [None, *[0.01] * 30]


def test_steps_in_two_variables_are_those_of_plain_arithmetic(tmp_path: Path) -> None:
    """ε has the length ρ over both of them."""
    x, y = -1.2, 1.0
    for _ in range(10):
        a, b = -400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)
        scale = 0.05 / math.hypot(a, b)
        u, v = x + scale * a, y + scale * b
        x -= 0.001 * (-400 * u * (v - u**2) - 2 * (1 - u))
        y -= 0.001 * 200 * (v - u**2)

    run(job(sam={"variant": "sam", "rho": 0.05}), tmp_path)

    assert path_of(tmp_path)[-1]["x"] == pytest.approx([x, y], rel=1e-9)


@pytest.mark.parametrize("known", NAMED.values(), ids=list(NAMED))
def test_every_named_function_is_descended_from_its_usual_start(tmp_path: Path, known: Named) -> None:
    start = list(known.start(known.most or 3))
    optimizer = {**PLAIN, "lr": known.lr}

    ended = run(job(function=known.name, start=start, steps=60, sam="none", optimizer=optimizer), tmp_path)

    assert ended.result.metrics["value"] < 0.8 * path_of(tmp_path)[0]["value"]


def test_what_is_reported_is_what_the_path_ends_with(tmp_path: Path) -> None:
    ended = run(job(), tmp_path)

    last = path_of(tmp_path)[-1]
    best = min(place["value"] for place in path_of(tmp_path))
    metrics = {
        "value": last["value"],
        "best_value": best,
        "gradient_norm": last["gradient_norm"],
        "learning_rate": 0.001,
        "distance_to_minimum": math.dist(last["x"], (1.0, 1.0)),
    }
    objective = Objective(name="value", value=last["value"], best=best, direction="minimize")
    assert ended.one(Started) == Started(
        device="cpu", precision="fp64", parameters=2, training_samples=0, resumed_step=0
    )
    assert ended.all(EpochEnded)[-1] == EpochEnded(
        epoch=None, step=10, metrics=metrics, objective=objective, accuracy=None, best_accuracy=None
    )
    assert ended.result == Finished(
        objective=objective, accuracy=None, best_accuracy=None, test_accuracy=None, metrics=metrics
    )


def test_an_expression_has_no_known_minimum_to_be_far_from(tmp_path: Path) -> None:
    ended = run(job(function="x0**2 + x1**2", start=[1, 2]), tmp_path)

    assert set(ended.result.metrics) == {"value", "best_value", "gradient_norm", "learning_rate"}


def test_the_artifacts_are_the_path_its_pictures_a_manifest_and_the_series(tmp_path: Path) -> None:
    spec = job(function="Himmelblau", start=[0, 0], steps=4)

    ended = run(spec, tmp_path)

    artifacts = {artifact.name: artifact for artifact in ended.all(ArtifactWritten)}
    assert {name: artifact.media_type for name, artifact in artifacts.items()} == {
        "path.json": "application/json",
        "path.svg": "image/svg+xml",
        "path.gif": "image/gif",
        "manifest.json": "application/json",
        "metrics.jsonl": "application/jsonl",
    }
    for name, artifact in artifacts.items():
        raw = (tmp_path / name).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (artifact.size_bytes, artifact.sha256)
    about = json.loads((tmp_path / "path.json").read_text())
    assert (about["function"], len(about["minima"]), about["every"]) == ("himmelblau", 4, 1)
    assert about["best"] == {"step": 4, "value": ended.result.metrics["best_value"]}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["spec"] == spec.model_dump(mode="json")
    assert (manifest["precision"], manifest["metrics"]) == ("fp64", ended.result.metrics)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{key: place[key] for key in lines[0]} for place in path_of(tmp_path)[1:]]
    assert set(lines[0]) == {"step", "value", "gradient_norm", "learning_rate"}


def test_progress_is_told_at_the_first_step_and_at_the_last(tmp_path: Path) -> None:
    ended = run(job(steps=40), tmp_path)

    progress = [report.progress for report in ended.all(Advanced)]
    assert (progress[0].step, progress[-1].step) == (1, 40)
    assert (progress[-1].fraction, progress[-1].epoch, progress[-1].epochs) == (1.0, 1, 1)


def test_the_same_spec_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "again"):
        run(job(sam="esam"), tmp_path / name)

    for file in ("path.json", "path.svg", "path.gif", "metrics.jsonl"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"sam": {"variant": "sam", "second_order": True}},
        {"sam": {"variant": "sam", "shard_size": 1}},
        {"sam": {"variant": "sam", "p": "inf", "adaptive": True}},
        {"sam": {"variant": "sam", "rho": {"schedule": "cosine", "value": 0.1}, "active": {"from": 0.5}}},
        {"optimizer": "adamw", "schedule": "cosine"},
        {"optimizer": {**PLAIN, "lr": 0.1}, "clip_norm": 1.0},
        {"function": "ackley", "start": [0.0, 0.0, 0.0]},
        {"function": "sphere", "start": [1.0] * 1000},
        {"steps": 1},
    ],
    ids=str,
)
def test_every_setting_runs(tmp_path: Path, fields: dict[str, Any]) -> None:
    ended = run(job(**fields), tmp_path)

    assert ended.status == 0
    assert math.isfinite(ended.result.metrics["value"])


def test_a_learning_rate_that_is_too_high_ends_the_run_for_good_and_says_at_which_step(tmp_path: Path) -> None:
    optimizer = {**PLAIN, "lr": 0.1}
    x, steps = 0.0, 0
    while math.isfinite(x):
        try:
            x -= 0.1 * _slope(x)
            _f(x)
        except OverflowError:
            x = math.inf
        steps += 1

    ended = run(job(function=SEEDS_FUNCTION, start=[0], sam="none", optimizer=optimizer), tmp_path)

    report = ended.one(Broken)
    assert (ended.status, report.type, report.permanent) == (1, "loss-not-finite", True)
    assert report.detail.startswith(f"function or its gradient is NaN or infinite at step {steps}, where the learning ")
    assert not (tmp_path / "path.json").exists()


@pytest.mark.parametrize(("function", "start"), [("log(x)", -1.0), ("sqrt(x)", 0.0), ("1/x", 0.0), ("exp(x)", 1e4)])
def test_a_start_where_there_is_no_slope_to_go_down_is_refused(tmp_path: Path, function: str, start: float) -> None:
    ended = run(job(function=function, start=[start]), tmp_path)

    report = ended.one(Broken)
    assert (report.type, report.permanent) == ("spec-invalid", True)
    assert report.detail == (
        f'function is "{function}" and start is [{start}], where its value or its gradient is NaN or infinite; '
        "give another start"
    )


@pytest.mark.parametrize(
    ("stop", "reason", "steps"),
    [
        ({"target": 1.0}, "target", 7),
        ({"patience": 3, "min_delta": 5.0}, "patience", 6),
        ({"max_seconds": 1e-9}, "max_seconds", 1),
        ({"target": -1.0}, None, 10),
    ],
)
def test_a_stop_rule_ends_the_run_as_a_success(tmp_path: Path, stop: Any, reason: str | None, steps: int) -> None:
    """f = x² from 4, each step takes a fifth of x: 16, 10.24, 6.55, 4.19, 2.68, 1.72, 1.1, 0.7."""
    spec = job(function="x**2", start=[4], sam="none", optimizer={**PLAIN, "lr": 0.1}, stop=stop)

    ended = run(spec, tmp_path)

    assert ended.result.stop_reason == reason
    assert path_of(tmp_path)[-1]["step"] == ended.all(EpochEnded)[-1].step == steps
