"""The table: one row a variant, its accuracies over seeds, and how far it is above the base optimizer alone."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.seed_runs.intervals import Interval, interval, paired
from benchmarks.seed_runs.runs import Result
from benchmarks.seed_runs.sheets import SHEETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant on a sheet, over seeds."""

    sheet: str
    variant: str
    epochs: int
    tests: tuple[float, ...]
    """Test accuracies, by ascending seed."""
    test: Interval
    validation: Interval | None
    above_none: Interval | None
    """Paired difference of test accuracies to `none` with the same epochs; None where that was not run."""
    seconds: float
    """The median of a run's."""
    devices: tuple[str, ...]


def rows_of(results: Iterable[Result]) -> list[Row]:
    """Sheets and variants in the order of `SHEETS`, more epochs first."""
    groups: dict[tuple[str, int, str], list[Result]] = {}
    for result in sorted(results, key=_place):
        groups.setdefault((result.sheet, result.epochs, result.variant), []).append(result)
    rows: list[Row] = []
    for (sheet, epochs, variant), group in groups.items():
        tests = {result.seed: result.test_accuracy for result in group}
        plain = {result.seed: result.test_accuracy for result in groups.get((sheet, epochs, "none"), [])}
        validations = [r.validation_accuracy for r in group if r.validation_accuracy is not None]
        rows.append(
            Row(
                sheet=sheet,
                variant=variant,
                epochs=epochs,
                tests=tuple(tests.values()),
                test=interval(list(tests.values())),
                validation=interval(validations) if validations else None,
                above_none=None if variant == "none" else paired(tests, plain),
                seconds=statistics.median(result.seconds for result in group),
                devices=tuple(sorted({result.device for result in group})),
            )
        )
    return rows


def markdown(results: Sequence[Result]) -> str:
    """The rows, and below them where they were measured."""
    lines = [
        "| data | variant | epochs | n | validation % | test % | above `none`, points | min a run | on | the seed % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows_of(results):
        sheet = SHEETS[row.sheet]
        cells = [
            sheet.title,
            f"`{row.variant}`",
            str(row.epochs),
            str(row.test.n),
            "" if row.validation is None else row.validation.percent(),
            row.test.percent(),
            "" if row.above_none is None else f"{row.above_none.percent(signed=True)} (n {row.above_none.n})",
            f"{row.seconds / 60:.1f}",
            ", ".join(row.devices),
            "" if sheet.seed_accuracy is None else f"{100 * sheet.seed_accuracy:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    said = (
        "Mean ± half of the 95 % t interval over n seeds; differences are between runs with the same seed. Weights are "
        "selected on the validation part, the test part is read once, at the end. The seed states no interval."
    )
    return "\n".join([*lines, "", said, *(f"- {line}" for line in _conditions(results))]) + "\n"


def _conditions(results: Iterable[Result]) -> list[str]:
    """Where the runs were made, each way once."""
    results = list(results)
    made = sorted({(r.device, r.precision, r.threads, r.torch) for r in results})
    lines = [f"{device}, {precision}, threads {threads}, torch {torch}" for device, precision, threads, torch in made]
    disturbed = sum(r.busy > r.threads for r in results)
    if disturbed:
        lines.append(f"{disturbed} of {len(results)} runs began on a machine that was busy with others: their minutes")
        lines[-1] += " are upper bounds"
    return lines


def _place(result: Result) -> tuple[int, int, int, str, int]:
    order = SHEETS[result.sheet].variants
    known = order.index(result.variant) if result.variant in order else len(order)
    return list(SHEETS).index(result.sheet), -result.epochs, known, result.variant, result.seed
