"""The examples run, and those in JSON are jobs."""

import json
from pathlib import Path

import pytest

import sam
from examples import training_loop
from lowland.spec import JobSpec
from tests.docs.pages import ROOT
from tests.worker.engine import running

JOBS = sorted((ROOT / "examples").glob("*.json"))


@pytest.mark.parametrize("variant", list(sam.VARIANTS))
def test_the_training_loop_trains_with_every_variant(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = training_loop.main(variant, epochs=3)

    assert accuracy > 0.8
    assert f"{variant}: test accuracy {100 * accuracy:.1f} %" in capsys.readouterr().out


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_an_example_in_json_is_a_job(path: Path) -> None:
    spec = JobSpec.parse(json.loads(path.read_text(encoding="utf-8")))

    assert spec.name is not None


def test_the_linear_function_of_the_seed_is_learnt_as_well_as_the_seed_says(tmp_path: Path) -> None:
    spec = JobSpec.parse(json.loads((ROOT / "examples" / "linear-seed.json").read_text(encoding="utf-8")))

    outcome = running.run(spec, tmp_path)

    assert outcome.result.metrics["test_r2"] > 0.98


def test_the_polynomial_of_the_seed_is_gone_down_in_its_30_steps(tmp_path: Path) -> None:
    """From x = 0, where it is 0; its least value is about -143.5, near x = -2.24."""
    spec = JobSpec.parse(json.loads((ROOT / "examples" / "function-seed.json").read_text(encoding="utf-8")))

    outcome = running.run(spec, tmp_path)

    assert spec.steps == 30
    assert outcome.result.metrics["best_value"] < -100
