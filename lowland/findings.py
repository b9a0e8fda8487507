"""What `lowland doctor` has found, in the server's rooms and outside of them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    """What was seen."""
    advice: str | None = None
    """What to do about it; None where nothing has to be done."""
