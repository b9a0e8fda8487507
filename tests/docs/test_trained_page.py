"""The code of the page about trained models runs on what a job has left behind, and its two ways agree."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.docs.pages import DOCS, blocks
from tests.worker.engine.running import run, tiny

PAGE = DOCS / "how-to" / "use-a-trained-model.md"


def test_both_ways_of_the_page_give_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny(model={"name": "mlp", "width": 32}), tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    for block in blocks(PAGE, "python"):
        exec(compile("\n" * (block.line - 1) + block.text, str(PAGE), "exec"), names)
        assert capsys.readouterr().out == (block.output or "")

    with torch.no_grad():
        assert torch.equal(names["logits"], names["model"](names["images"]))
    assert set(names["names"]) <= set("0123456789")
