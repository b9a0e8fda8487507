"""Reference pages are written from the code; a stale one is a lie."""

from pathlib import Path

import pytest

from docs.generate import PAGES, ROOT, taken_away


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_what_its_code_says(page: str) -> None:
    is_current = Path(ROOT / page).read_text() == PAGES[page]()  # not compared line by line: one has 12,000
    assert is_current, f"{page} is stale: run .venv/bin/python docs/generate.py"


def test_the_api_takes_and_promises_what_it_did() -> None:
    """By the document as it was written down last."""
    listed = "\n".join(f"incompatible: {change}" for change in taken_away())

    assert not listed, f"{listed}\n(CONTRIBUTING.md says how to do this where it is meant)"


def test_every_page_is_on_the_map_and_every_link_of_it_leads_somewhere() -> None:
    folder = ROOT / "docs"
    pages = {str(path.relative_to(folder)) for path in folder.rglob("*.md")} - {"README.md"}

    text = (folder / "README.md").read_text()
    links = {part.split(")")[0] for part in text.split("](")[1:]}

    assert pages <= links
    assert [link for link in links if not (folder / link).exists()] == []
