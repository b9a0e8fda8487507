"""What can go wrong for someone who uses Lowland.

LowlandError
  └ SpecInvalid           the job spec is wrong, with one `FieldError` per mistake
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One mistake in what was sent."""

    field: str
    """Path to the field, with dots: `sam.rho`. Empty for the whole body."""
    value: object
    """What stood there, as JSON values; long ones are cut and secrets hidden."""
    detail: str
    """One sentence that names the field, the value and what would be accepted."""


class LowlandError(Exception):
    """The root of every error Lowland raises."""


class SpecInvalid(LowlandError):
    """The job spec is wrong; `errors` says where."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(error.detail for error in self.errors))
