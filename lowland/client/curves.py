"""What was measured in the course of a job, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from lowland.spec.resource import Series

if TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingTypeStubs]  its types stand in its code


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Lists of the same length: an entry for each point, in order. `curves["train_loss"]` is one of `values`."""

    steps: list[int]
    """Optimizer steps taken."""
    epochs: list[int | None]
    """Epochs ended; None where a job has none."""
    at: list[datetime]
    """When it was recorded."""
    values: Mapping[str, list[float | None]]
    """Each series by its name; None where a point has no value of it."""
    last: str | None
    """Give it as `since` for what comes after."""

    @classmethod
    def of(cls, series: Series) -> Self:
        """As the server sends it, turned on its side."""
        points = series.points
        return cls(
            steps=[point.step for point in points],
            epochs=[point.epoch for point in points],
            at=[point.at for point in points],
            values={name: [point.values.get(name) for point in points] for name in series.names},
            last=series.last,
        )

    def __getitem__(self, name: str) -> list[float | None]:
        return self.values[name]

    def __len__(self) -> int:
        return len(self.steps)

    def to_pandas(self) -> "pandas.DataFrame":
        """A frame with the columns `step`, `epoch`, `at` and one for each series.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  it may be missing, and takes its time

        return pandas.DataFrame(
            {
                "step": self.steps,
                "epoch": pandas.array(self.epochs, dtype="Int64"),
                "at": self.at,
                **{name: pandas.array(values, dtype="float64") for name, values in self.values.items()},
            }
        )
