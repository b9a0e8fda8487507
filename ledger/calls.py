"""A call of the ledger as a value: which script, with what, and how to read the answer.

Pure functions (`transitions.py`, `reads.py`) make calls; `Ledger` and `AsyncLedger` run them. Nothing is written twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

#: What Redis answers: a word, then what belongs to it.
Answer = Sequence[object]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One atomic step of the ledger. Running it again, as a client does that lost the reply, has no further effect."""

    script: str
    """The file in `lua/`."""
    args: tuple[str | int, ...]
    read: Callable[[Answer], T]
    """Turns the answer into a value, or raises the error that its word stands for, or `Instead`."""
    lists: tuple[str, ...] = ()
    """Names of lists beside the layout (the bells), without the prefix."""


class Instead(Exception):  # a turn, not an error
    """The answer asks for another call, whose result is the result."""

    def __init__(self, call: Call[Any]) -> None:
        self.call: Final = call
        super().__init__(call.script)
