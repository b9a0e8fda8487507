"""The code in the pages is code that runs: Python as it stands, JSON as a job; what does not run is said, with why.

Pages with commands are followed in `test_walking_through.py`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch.distributed as dist

from lowland.spec import JobSpec
from tests.docs.excluded import EXCLUDED, GIVEN, NOT_RUN
from tests.docs.expected import Examples
from tests.docs.pages import Block, blocks, name_of, pages, prose
from tests.docs.running import FOLLOWED, RUN, excludes, included, is_followed

ALONE = [block for page in pages() if not is_followed(page) for block in included(page, "python")]


@pytest.fixture(autouse=True)
def no_process_group_stays() -> Iterator[None]:
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.parametrize("block", ALONE, ids=str)
def test_python_runs_and_prints_what_stands_below_it(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    where = "\n" * (block.line - 1)  # so that a traceback has the page's lines

    exec(compile(where + block.text, str(block.page), "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out == (block.output or "")


@pytest.mark.parametrize("block", [block for page in pages() for block in included(page, "json")], ids=str)
def test_json_is_a_job(block: Block) -> None:
    given = cast("dict[str, Any]", json.loads(block.text))

    spec = JobSpec.parse(given)

    assert (spec.dataset is None) == ("function" in given)


def test_every_block_says_in_which_language_it_is_and_the_tests_know_it() -> None:
    unknown = [
        f"{block}: {block.language or 'no language'}"
        for page in pages()
        for block in blocks(page)
        if block.language not in RUN | {"json"} | NOT_RUN.keys()
    ]

    assert unknown == []


def test_no_code_hides_from_the_tests_by_being_indented() -> None:
    indented = [f"{name_of(page)}: {text}" for page in pages() for text in indented_in(prose(page))]

    assert indented == []


def test_no_code_hides_from_the_tests_in_a_fence_that_they_do_not_know() -> None:
    """Fences in lists, of other characters, or with more than a language."""
    unknown = [
        f"{name_of(page)}: {line}" for page in pages() for line in re.findall(r"^\s*(?:```|~~~).*", prose(page), re.M)
    ]

    assert unknown == []


def indented_in(text: str) -> list[str]:
    """First lines of what is set as code by four spaces."""
    return re.findall(r"^(?![ ]*[-*\d]).*\S.*\n\n {4}(\S.*)$", text, re.MULTILINE)


def test_what_is_excluded_or_given_is_there() -> None:
    every_block = [block for page in pages() for block in blocks(page)]

    stale = [row for row in EXCLUDED if not any(excludes(row, block) for block in every_block)]

    assert stale == []
    assert GIVEN.keys() <= set(map(name_of, FOLLOWED))


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a … c", "a b\nb c", True),
        ("a … c", "a b", False),
        ("a.c", "abc", False),
        ("at 2026-01-01T00:00:00Z", "at 2027-02-03T04:05:06.789000Z", True),
        ("0.9944289693593314", "0.98", True),
        ("0.99", "0.98", False),
    ],
)
def test_what_differs_from_run_to_run_may_and_nothing_else(expected: str, printed: str, same: bool) -> None:
    assert Examples().match(expected, printed) == same


def test_an_example_id_stands_for_one_job_from_where_it_is_first_printed() -> None:
    first, shown, real = (f"{digit * 8}-0000-7000-8000-000000000000" for digit in "123")
    examples = Examples(job=first)

    before = examples.put_into(f"GET /jobs/{shown}")
    matched = examples.match(f"id {shown}\nself {shown}", f"id {real}\nself {real}")
    after = examples.put_into(f"GET /jobs/{shown}")

    assert matched
    assert not Examples().match(f"id {shown}\nself {shown}", f"id {real}\nself {first}")
    assert (before, after) == (f"GET /jobs/{first}", f"GET /jobs/{real}")
