"""The seed's table: what it runs, what it says of it, and that a run is made once."""

import math
import statistics
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.seed_runs.intervals import T_975, Interval, interval, paired
from benchmarks.seed_runs.picture import axis, draw
from benchmarks.seed_runs.runs import Result, RunFailed, folder_of, results_in, run
from benchmarks.seed_runs.sheets import SHEETS, spec_of
from benchmarks.seed_runs.table import markdown, rows_of
from benchmarks.seed_table import planned
from lowland.spec import JobSpec
from tests.worker.engine import running

TINY = {
    "dataset": {"name": "digits", "limit": 100},
    "model": {"name": "mlp", "width": 8, "depth": 1},
    "sam": "none",
    "epochs": 1,
}


def finished(variant: str, seed: int, test_accuracy: float, **more: Any) -> Result:
    values: dict[str, Any] = {
        "sheet": "kmnist",
        "variant": variant,
        "epochs": 8,
        "seed": seed,
        "validation_accuracy": 0.99,
        "test_accuracy": test_accuracy,
        "metrics": {},
        "seconds": 60.0,
        "attempts": 1,
        "threads": 2,
        "device": "cpu",
        "precision": "bf16",
        "torch": "2.14.1",
        "busy": 0.0,
    }
    return Result(**{**values, **more})


RESULTS = [
    finished("sam", 1, 0.986),
    finished("sam", 0, 0.988),
    finished("sam", 2, 0.990),
    finished("none", 0, 0.985),
    finished("none", 1, 0.985),
]


def test_an_interval_is_the_mean_and_students_t_around_it() -> None:
    """Three values with standard deviation 1: half the width is 4.303 / √3."""
    found = interval([1.0, 2.0, 3.0])

    assert found == Interval(2.0, 4.303 * 1.0 / math.sqrt(3), 3)


def test_one_value_has_no_interval() -> None:
    assert interval([0.9]) == Interval(0.9, None, 1)


def test_no_value_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_the_quantiles_fall_towards_those_of_the_normal_distribution() -> None:
    assert list(T_975) == sorted(T_975, reverse=True)
    assert len(T_975) == 30
    assert T_975[-1] == pytest.approx(statistics.NormalDist().inv_cdf(0.975), rel=0.05)


def test_a_paired_difference_is_over_the_seeds_that_both_rows_have() -> None:
    found = paired({0: 0.5, 1: 0.75, 3: 0.9}, {0: 0.25, 1: 0.25, 2: 0.1})

    assert found == interval([0.25, 0.5])


def test_rows_without_a_common_seed_have_no_difference() -> None:
    assert paired({0: 0.5}, {1: 0.5}) is None


def test_an_interval_is_written_in_percent() -> None:
    assert Interval(0.98914, 0.00123, 3).percent() == "98.91 ± 0.12"
    assert Interval(0.004, None, 1).percent(signed=True) == "+0.40"


def test_the_table_has_a_row_for_each_variant_in_the_order_of_its_sheet() -> None:
    plain, sam = rows_of(RESULTS)

    assert (plain.variant, plain.tests, plain.above_none) == ("none", (0.985, 0.985), None)
    assert (sam.variant, sam.tests) == ("sam", (0.988, 0.986, 0.990))
    assert sam.above_none == paired({0: 0.988, 1: 0.986}, {0: 0.985, 1: 0.985})


def test_runs_of_other_lengths_are_not_compared() -> None:
    rows = rows_of([*RESULTS, finished("none", 2, 0.9, epochs=4)])

    assert [(row.variant, row.epochs, row.test.n) for row in rows] == [("none", 8, 2), ("sam", 8, 3), ("none", 4, 1)]


def test_the_table_says_what_the_seed_says_and_how_it_was_measured() -> None:
    text = markdown([*RESULTS, finished("friendly", 0, 0.987, busy=3.5)])

    assert "| KMNIST | `sam` | 8 | 3 | 99.00 ± 0.00 | 98.80 ± 0.50 | +0.20 ± 1.27 (n 2) | 1.0 | cpu | 98 |" in text
    assert "| KMNIST | `friendly` | 8 | 1 | 99.00 | 98.70 | +0.20 (n 1) | 1.0 | cpu | 98 |" in text
    assert "- cpu, bf16, threads 2, torch 2.14.1" in text
    assert "- 1 of 6 runs began on a machine that was busy" in text


def test_the_picture_is_drawn_in_xml_with_a_dot_for_each_seed_and_mean() -> None:
    picture = ElementTree.fromstring(draw(rows_of([*RESULTS, finished("none", 0, 0.9, sheet="imbalanced-cifar10")])))

    dots = picture.findall("{http://www.w3.org/2000/svg}circle")
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert len(dots) == (2 + 1) + (3 + 1) + (1 + 1)
    assert words.count("the seed 98") == 1
    assert {"KMNIST, 8 epochs", "CIFAR-10, classes 100:1, 8 epochs", "none", "sam"} <= set(words)


@pytest.mark.parametrize("extent", [(98.0, 98.0), (84.0, 94.3), (9.0, 99.9)], ids=str)
def test_an_axis_shows_its_extent_in_a_few_steps(extent: tuple[float, float]) -> None:
    low, high, step = axis(extent)

    assert low < extent[0] <= extent[1] < high
    assert 2 <= round((high - low) / step) <= 8


@pytest.mark.parametrize("sheet", SHEETS)
def test_every_variant_of_a_sheet_is_a_job(sheet: str) -> None:
    jobs = [spec for _, spec in planned([sheet], None, [0, 1], epochs=3)]

    variants = SHEETS[sheet].variants
    assert [(job.sam.variant, job.seed, job.epochs) for job in jobs] == [
        (variant, seed, 3) for seed in (0, 1) for variant in variants
    ]


def test_a_recipe_keeps_the_options_of_its_own_variant() -> None:
    recipe = spec_of("seed-kmnist", "sam", seed=4, epochs=None)
    other = spec_of("seed-kmnist", "none", seed=4, epochs=None)

    assert recipe.model_copy(update={"sam": other.sam, "name": other.name}) == other
    assert (recipe.epochs, recipe.batch_size, recipe.seed) == (30, 20, 4)


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    spec = JobSpec.parse(TINY)

    first = run("kmnist", spec, tmp_path, threads=1)
    again = run("kmnist", spec, tmp_path, threads=1)

    folder = folder_of(tmp_path, "kmnist", spec)
    assert first == again
    assert results_in(tmp_path) == [first]
    assert len((folder / "attempts.jsonl").read_text().splitlines()) == 1
    assert list((folder / "engine").glob("checkpoint-*")) == []


def test_a_folder_with_a_run_of_another_spec_is_refused(tmp_path: Path) -> None:
    spec = JobSpec.parse(TINY)
    folder = folder_of(tmp_path, "kmnist", spec)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(JobSpec.parse({**TINY, "batch_size": 7}).model_dump_json())

    with pytest.raises(RunFailed, match="another spec"):
        run("kmnist", spec, tmp_path, threads=1)


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    spec = JobSpec.parse({**TINY, "dataset": {"name": "folder", "path": "nowhere"}, "model": "cnn"})

    with pytest.raises(RunFailed, match="ended with status 1"):
        run("kmnist", spec, tmp_path, threads=1)


def test_a_run_that_was_cut_short_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = JobSpec.parse({**TINY, "epochs": 2})
    engine = folder_of(tmp_path, "kmnist", spec) / "engine"
    engine.mkdir(parents=True)
    running.run(spec, engine, stop_at=lambda report: report.report == "epoch")

    result = run("kmnist", spec, tmp_path, threads=1)

    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["kmnist none 0: epoch 2/2"]
    assert result.metrics == running.run(spec, tmp_path / "at once").result.metrics
