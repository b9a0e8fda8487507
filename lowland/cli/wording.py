"""Numbers, sizes and times as people read them."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

#: What stands for a value that there is not.
NONE: Final = "-"
_THOUSANDS: Final = 1e3
_MILLIONS: Final = 1e7
_BARS: Final = "▁▂▃▄▅▆▇█"
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def number(value: float | None) -> str:
    """Four significant digits, and every digit before the point of what a person still reads as a whole number."""
    if value is None:
        return NONE
    return f"{value:.0f}" if _THOUSANDS <= abs(value) < _MILLIONS else f"{value:.4g}"


def percent(fraction: float | None) -> str:
    """A fraction, rounded down: 100 % is all of it."""
    return NONE if fraction is None else f"{math.floor(100 * fraction)}%"


def size(count: float) -> str:
    """Bytes, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.4g} TB"


def span(seconds: float | None) -> str:
    """A duration in its two largest units: `2h 5m`."""
    if seconds is None:
        return NONE
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if part[0] != "0") or "0s"


def age(since: datetime) -> str:
    """How long ago something was, in its largest unit."""
    return span((datetime.now(UTC) - since).total_seconds()).split(" ")[0]


def moment(at: datetime | None) -> str:
    """A point in time, in UTC to the second."""
    return NONE if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def sparkline(values: Sequence[float], *, width: int) -> str:
    """The course of values, between the lowest and the highest of them; of many the last and evenly chosen others."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    shown = min(width, len(finite))
    chosen = [finite[(number + 1) * len(finite) // shown - 1] for number in range(shown)]
    low, high = min(chosen), max(chosen)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in chosen)
