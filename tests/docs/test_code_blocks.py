"""The code in the pages runs as it stands, and says what they say it does."""

import json
from collections.abc import Iterator

import pytest
import torch.distributed as dist

from lowland.spec import JobSpec
from tests.docs.pages import DOCS, Block, blocks

PAGES = [
    *sorted((DOCS / "reference" / "variants").glob("*.md")),
    DOCS / "reference" / "sam.md",
    DOCS / "how-to" / "move-from-davda54-sam.md",
    DOCS / "how-to" / "webhooks.md",
]


def all_in(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


@pytest.fixture(autouse=True)
def no_process_group_stays() -> Iterator[None]:
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.parametrize("block", all_in("python"), ids=str)
def test_python_runs_and_prints_what_stands_below_it(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    where = "\n" * (block.line - 1)  # so that a traceback has the page's lines

    exec(compile(where + block.text, str(block.page), "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out == (block.output or "")


@pytest.mark.parametrize("block", all_in("json"), ids=str)
def test_json_is_a_job(block: Block) -> None:
    given = json.loads(block.text)

    spec = JobSpec.parse(given)

    assert spec.dataset is not None
    assert spec.dataset.name == given["dataset"]
