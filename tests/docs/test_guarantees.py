"""The page of guarantees names tests that there are."""

import re

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)`", PAGE.read_text())

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
