"""Columns of a table as numbers: features, values to come close to, classes.

    numbers     one feature, as they are
    booleans    one feature, 0 or 1
    strings     a feature for each value the column has, 1 where it has it (one-hot)

Data rows are counted from 1, without the header. Letters: M rows.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lowland.spec.show import shown

#: Different strings that a feature column may have: each becomes a feature, and most that have more are names or texts.
MOST_CATEGORIES: Final = 100
#: The fraction of a column's rows, at most, that are taken for mistakes among numbers.
MOST_BROKEN: Final = 0.1
#: What float32 rounds off, relative to a number; and as a fraction of a column's spread, at most.
_ROUNDED: Final = 2.0**-24
MOST_ROUNDED: Final = 0.001
#: Classes that a target may have.
MOST_CLASSES: Final = 1000


class ColumnUnusable(Exception):
    """A column is not there, or does not hold what is wanted of it."""


def features_of(name: str, column: pa.ChunkedArray) -> Sequence[tuple[str, np.ndarray]]:
    """A column's features with their names, float32 [M] each; one that stands for a string is called "column=string".

    Raises:
        ColumnUnusable: a value is missing or not finite, or the column holds something else.
    """
    if not _is_text(column.type):
        return [(name, _numbers(name, column, or_else="; name it in dataset.ignore"))]
    texts = _complete_texts(name, column)
    _refuse_broken_numbers(name, texts)
    categories, numbers = np.unique(texts, return_inverse=True)
    if len(categories) > MOST_CATEGORIES:
        raise ColumnUnusable(
            f"column {shown(name)} has {len(categories)} different strings, of which each would be a feature; "
            f"give at most {MOST_CATEGORIES}, or name it in dataset.ignore"
        )
    indicators = (numbers == np.arange(len(categories))[:, None]).astype(np.float32)
    return [(f"{name}={category}", indicator) for category, indicator in zip(categories, indicators, strict=True)]


def values_of(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """A regression's targets, float32 [M].

    Raises:
        ColumnUnusable: a value is missing or not finite, or the column does not hold numbers.
    """
    if pa.types.is_boolean(column.type):
        raise ColumnUnusable(
            f'column {shown(name)} holds booleans; a regression wants numbers: give task "classification"'
        )
    return _numbers(name, column, or_else="; a regression wants numbers")


def classes_of(name: str, column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A classification's targets, int64 [M], and the classes' names in order.

    Raises:
        ColumnUnusable: a value is missing, the column holds something else, or there are too few or too many classes.
    """
    kind = column.type
    if _is_text(kind):
        found: np.ndarray = _complete_texts(name, column)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        _refuse_missing(name, column)
        found = column.to_numpy()
    else:
        raise ColumnUnusable(
            f"column {shown(name)} holds {kind}; classes are strings, integers or booleans"
            + ('; for numbers give task "regression"' if pa.types.is_floating(kind) else "")
        )
    classes, numbers = np.unique(found, return_inverse=True)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise ColumnUnusable(f"column {shown(name)} has {len(classes)} classes; give 2 to {MOST_CLASSES}")
    names = [str(value) for value in classes.tolist()]
    return numbers.astype(np.int64), tuple(word.lower() if pa.types.is_boolean(kind) else word for word in names)


def _numbers(name: str, column: pa.ChunkedArray, *, or_else: str) -> np.ndarray:
    kind = column.type
    if pa.types.is_null(kind):
        raise ColumnUnusable(f"column {shown(name)} is empty; name it in dataset.ignore")
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    ):
        raise ColumnUnusable(f"column {shown(name)} holds {kind}{or_else}")
    _refuse_missing(name, column)
    exact = column.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):  # told below
        numbers = exact.astype(np.float32)
    if len(wrong := np.flatnonzero(~np.isfinite(numbers))):
        row = int(wrong[0])
        raise ColumnUnusable(
            f"data row {row + 1} of column {shown(name)} is {exact[row]:g}; give a finite float32 number"
        )
    if np.abs(exact).max() * _ROUNDED > MOST_ROUNDED * exact.std() > 0:
        raise ColumnUnusable(
            f"column {shown(name)} has values about {exact.mean():g} that differ by about {exact.std():g}, which "
            "float32 cannot tell apart; take an offset off"
        )
    return numbers


def _complete_texts(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """Its strings, of which none may be missing or empty: an empty field of a CSV file is both."""
    texts = column.cast(pa.large_string()).fill_null("").to_numpy(zero_copy_only=False)
    _refuse(name, texts == "")
    return texts


def _refuse_broken_numbers(name: str, texts: np.ndarray) -> None:
    """A column that is text for the sake of a few rows is one of numbers, of which these are broken."""
    wrong = [row for row, text in enumerate(texts.tolist()) if not _is_number(text)]
    if 0 < len(wrong) <= len(texts) * MOST_BROKEN:
        row = wrong[0]
        raise ColumnUnusable(
            f"data row {row + 1} of column {shown(name)} is {shown(texts[row])}, and almost all others are numbers; "
            "mend it, or name the column in dataset.ignore"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_missing(name: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        _refuse(name, column.is_null().to_numpy())


def _refuse(name: str, is_missing: np.ndarray) -> None:
    if len(rows := np.flatnonzero(is_missing)):
        raise ColumnUnusable(
            f"data row {rows[0] + 1} of column {shown(name)} is missing; fill it in, or leave the row or the column out"
        )


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
