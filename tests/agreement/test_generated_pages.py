"""Reference pages are written from the code; a stale one is a lie."""

from pathlib import Path

import pytest

from docs.generate import PAGES, ROOT


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_what_its_code_says(page: str) -> None:
    assert Path(ROOT / page).read_text() == PAGES[page](), "run .venv/bin/python docs/generate.py"


def test_every_page_is_on_the_map_and_every_link_of_it_leads_somewhere() -> None:
    folder = ROOT / "docs"
    pages = {str(path.relative_to(folder)) for path in folder.rglob("*.md")} - {"README.md"}

    text = (folder / "README.md").read_text()
    links = {part.split(")")[0] for part in text.split("](")[1:]}

    assert pages <= links
    assert [link for link in links if not (folder / link).exists()] == []
