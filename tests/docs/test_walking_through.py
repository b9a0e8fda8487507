"""A page with commands is followed from top to bottom, and prints what it says.

These take the longest by far; the file's name puts them last, where test processes share them evenly.
"""

import shutil
from pathlib import Path

import pytest

from tests.docs.conftest import Standing
from tests.docs.excluded import GIVEN
from tests.docs.pages import name_of
from tests.docs.running import FOLLOWED, RUN, included, starts_its_server, with_stand_ins
from tests.docs.shell import shell

TOOLS = ("curl", "jq")


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {' and '.join(TOOLS)}")
@pytest.mark.timeout(300)  # on a busy machine; some start a server three times
@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_following_a_page_prints_what_it_says(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    standing: Standing | None = None if starts_its_server(page) else request.getfixturevalue("standing")
    with shell(tmp_path, port=standing and standing.port, job=standing and standing.job) as reader:
        for command in GIVEN.get(name_of(page), []):
            reader.do(command)
        for block in included(page, *RUN):
            reader.follow(with_stand_ins(block))
