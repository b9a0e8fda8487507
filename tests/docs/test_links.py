"""Links between pages lead to pages, and their anchors to headings."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, headings, links, name_of, pages

PAGES = [*pages(), ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_two_headings_of_a_page_have_the_same_anchor(page: Path) -> None:
    """A link to the second one would lead to the first."""
    assert len(anchors(page)) == len(headings(page))
