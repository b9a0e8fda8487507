"""A job's series as GET answers it: chosen, thinned out, as JSON or CSV."""

import csv
import io
from collections.abc import Sequence

from ledger.documents import as_text
from ledger.history import Point
from lowland.spec.resource import Series, SeriesPoint

#: What a point says beside its series.
_ABOUT = ("step", "epoch")


def series_of(points: Sequence[Point], *, names: Sequence[str] | None, most: int | None, since: str | None) -> Series:
    """The answer.

    Args:
        points: in order.
        names: of the series that are wanted; None for all.
        most: points at most, evenly chosen, the first and the last among them; None for all.
        since: the id of the point that they come after; None for all from the first.
    """
    found = {name: None for point in points for name in point.values if name not in _ABOUT}
    wanted = list(found) if names is None else list(names)
    chosen = points if most is None else [points[index] for index in evenly(len(points), most)]
    return Series(
        names=wanted,
        points=[
            SeriesPoint(
                id=point.id,
                token=point.token,
                at=point.at,
                step=point.step,
                epoch=point.values.get("epoch"),
                values={name: point.values[name] for name in wanted if name in point.values},
            )
            for point in chosen
        ],
        last=points[-1].id if points else since,
    )


def evenly(count: int, most: int) -> list[int]:
    """Indexes of at most so many of `count` things, the first and the last among them; of one, the last."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def as_csv(series: Series) -> str:
    """One line a point; a series that a point does not have is left empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "epoch", "at", *series.names])
    for point in series.points:
        values = [point.values.get(name, "") for name in series.names]
        writer.writerow([point.step, "" if point.epoch is None else point.epoch, as_text(point.at), *values])
    return text.getvalue()
