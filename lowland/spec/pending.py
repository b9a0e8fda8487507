"""What the contract already describes and no worker does yet: refused by name, never ignored.

When a feature arrives, its row goes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from lowland.errors import FieldError
from lowland.spec.show import public, shown


@dataclass(frozen=True, slots=True)
class Pending:
    """A field of which only some values work so far."""

    field: str
    works: Collection[Any]


PENDING: Final[Sequence[Pending]] = [
    Pending("sharpness", [None]),
]


def refuse_pending(spec: BaseModel) -> list[FieldError]:
    """Name every field of a valid spec whose value no worker can honour yet."""
    return [
        FieldError(field=row.field, value=public(value), detail=_refusal(row, value))
        for row in PENDING
        if (value := _at(spec, row.field)) is not _ABSENT and value not in row.works
    ]


def _refusal(row: Pending, value: object) -> str:
    works = " or ".join(shown(one) for one in row.works)
    return f"{row.field} is {shown(value)}, which is not supported yet; give {works}"


_ABSENT: Final = object()


def _at(value: object, path: str) -> object:
    """The value at a dotted path, or `_ABSENT` where a part of it is not there (another variant, a null)."""
    for part in path.split("."):
        value = getattr(value, part, _ABSENT)
    return value
