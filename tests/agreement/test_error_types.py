"""What has a name stands in the pages that list names: every way to give up, every problem, every operation."""

import ast
from collections.abc import Iterator

import worker.engine.program  # noqa: F401  every room of the engine is imported by it, and every error with its room
from api import ApiSettings, create_app
from api.problems import KINDS
from docs.api_page import EXAMPLES, TITLES, operations
from docs.errors_page import OUTSIDE, REMEDIES
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


def test_every_error_that_the_runner_or_the_keeper_gives_a_job_is_documented() -> None:
    given = {
        keyword.value.value
        for path in (ROOT / "worker").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Failure"
        for keyword in call.keywords
        if keyword.arg == "type" and isinstance(keyword.value, ast.Constant)
    }

    assert given == set(OUTSIDE)


def test_every_kind_of_problem_has_a_remedy() -> None:
    assert [kind.slug for kind in KINDS.values()] == list(REMEDIES)


def test_every_operation_of_the_api_has_an_example() -> None:
    document = create_app(ApiSettings()).openapi()

    assert set(operations(document)) == set(EXAMPLES)
    assert {tag for _, _, operation in operations(document).values() for tag in operation["tags"]} == set(TITLES)
