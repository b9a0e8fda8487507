"""The colours of the pictures: they differ for every kind of colour vision (Okabe and Ito), on white."""

from typing import Final

PAPER: Final = "#ffffff"
INK: Final = "#1f2937"
FAINT: Final = "#6b7280"
#: Where the function is not finite.
NOWHERE: Final = "#e5e7eb"
PATH: Final = "#d55e00"
MINIMUM: Final = "#f0e442"

DEEPEST: Final = "#1f5f99"
HIGHEST: Final = "#f1f7fc"


def depths(count: int) -> list[str]:
    """So many, from the deepest to the highest."""
    return [mixed(DEEPEST, HIGHEST, i / max(count - 1, 1)) for i in range(count)]


def mixed(one: str, other: str, share: float) -> str:
    """This much of the other, in [0, 1]."""
    pairs = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)
