"""Which blocks of the pages run, and which pages are followed from top to bottom."""

import re
from dataclasses import replace
from pathlib import Path

from tests.docs.excluded import EXCLUDED, GIVEN, STAND_INS
from tests.docs.pages import Block, blocks, name_of, pages

#: Run in a shell, one after the other; `python` where the page is one that is followed.
RUN = {"console", "javascript", "bash", "python"}
#: What is in a block of Python that asks a server.
ASKS = re.compile(r":8000\b|\blowland(\.client)? import\b")


def excludes(row: tuple[str, str], block: Block) -> bool:
    """Whether a row of `EXCLUDED` means a block."""
    page, text = row
    return page == name_of(block.page) and text in block.text


def included(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in these languages that are to run, in order."""
    return [
        block
        for block in blocks(page)
        if block.language in languages and not any(excludes(row, block) for row in EXCLUDED)
    ]


def with_stand_ins(block: Block) -> Block:
    """The block as it is run."""
    for meant, stand_in in STAND_INS.get(name_of(block.page), {}).items():
        output = block.output and block.output.replace(meant, stand_in)
        block = replace(block, text=block.text.replace(meant, stand_in), output=output)
    return block


def is_followed(page: Path) -> bool:
    """Whether the page has commands, or code that asks a server."""
    return any(block.language != "python" or ASKS.search(block.text) for block in included(page, *RUN))


def starts_its_server(page: Path) -> bool:
    """Whether the page, or what it takes for granted, has `lowland serve` in it."""
    commands = [block.text for block in included(page, "console")] + GIVEN.get(name_of(page), [])
    return any(re.search(r"\blowland serve\b", text) for text in commands)


FOLLOWED = [page for page in pages() if is_followed(page)]
