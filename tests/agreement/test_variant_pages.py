"""A variant's page says what its class does: name, options and defaults, in the frame all pages have."""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import sam
from tests.docs.pages import DOCS, headings

FOLDER = DOCS / "reference" / "variants"
FRAME = [
    "## How to use it",
    "## Options",
    "## Suggested hyper-parameters",
    "## Technical details",
    "## When not to use it",
    "## Source",
]

every_variant = pytest.mark.parametrize("name", list(sam.VARIANTS))


def page_of(name: str) -> Path:
    return FOLDER / f"{name}.md"


def test_there_is_a_page_for_every_variant_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {*sam.VARIANTS, "README"}


@every_variant
def test_a_page_has_its_variant_s_name_and_the_frame_of_all(name: str) -> None:
    title, *rest = headings(page_of(name))

    assert title.endswith(f"(`{name}`)")
    assert [heading for heading in rest if heading.startswith("## ")] == FRAME


@every_variant
def test_a_page_begins_with_two_sentences(name: str) -> None:
    _, lead, *_ = page_of(name).read_text(encoding="utf-8").split("\n\n")

    assert len(re.findall(r"\.(?:\s|$)", lead)) == 2


@every_variant
def test_a_page_lists_the_constructor_s_options_with_their_defaults(name: str) -> None:
    keywords = inspect.signature(sam.VARIANTS[name]).parameters
    taken = {
        keyword: dict(parameter.default) if isinstance(parameter.default, Mapping) else parameter.default
        for keyword, parameter in keywords.items()
        if parameter.kind is parameter.KEYWORD_ONLY and keyword != "model"
    }

    assert options_in(page_of(name)) == taken


def test_the_index_names_every_variant_and_its_class() -> None:
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+)\.md\) \| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.M)

    assert rows == [(name, name, variant.__name__) for name, variant in sam.VARIANTS.items()]


def options_in(page: Path) -> dict[str, object]:
    """The first two columns of the table under "Options"."""
    section = page.read_text(encoding="utf-8").split("\n## Options\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE)
    return {option: json.loads(default) for option, default in rows}
