"""`make demo` to the end: a stranger's first minute."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stack.house import ROOT


@pytest.mark.timeout(240)
def test_the_demo_trains_digits_to_97_percent_and_leaves_nothing_but_the_weights(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        env=os.environ | {"TMPDIR": str(temporary), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "test accuracy" in done.stdout
    assert list(temporary.iterdir()) == []
    assert [p for p in psutil.process_iter() if str(temporary) in " ".join(_command(p))] == []


def test_the_demo_says_what_is_wrong_and_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "kminst"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 1
    assert 'did you mean "kmnist"?' in done.stderr
    assert list(tmp_path.iterdir()) == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
