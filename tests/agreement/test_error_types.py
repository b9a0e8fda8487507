"""Every way for a run to give up that has a name stands in the page about runs."""

from collections.abc import Iterator

import worker.engine.program  # noqa: F401  every room of the engine is imported by it, and every error with its room
from tests.docs.pages import ROOT
from worker.engine.errors import EngineError, RankFailed


def _all(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _all(below)


def test_every_error_that_ends_a_run_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "training.md").read_text(encoding="utf-8")
    #: Tells of another process's error by that one's name.
    told = {error.type for error in _all(EngineError)} - {RankFailed.type}

    assert {word for word in told if f"`{word}`" not in page} == set()
