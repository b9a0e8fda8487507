"""The wheel, built and installed into an environment that has its own requirements and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.environments import environment
from tests.stack.house import ROOT

#: What pip reads of the checkout.
SOURCES: Final = ("pyproject.toml", "README.md", "LICENSE", "lowland", "sam")
OF_THE_SERVER: Final = {"torch", "redis", "celery", "fastapi", "starlette", "kombu", "numpy"}

_STEP: Final = """
import torch
from sam import SAM

model = torch.nn.Linear(3, 2)
before = model.weight.detach().clone()
optimizer = SAM(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1)
def closure():
    optimizer.zero_grad()
    loss = model(torch.ones(4, 3)).square().mean()
    loss.backward()
    return loss
optimizer.step(closure)
print(bool((model.weight != before).any()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by pip, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(source / "dist"), str(source))
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel."""
    return _installed(wheel, tmp_path_factory.mktemp("wheel") / "python", "lowland")


def test_it_holds_the_contract_the_client_and_sam_and_no_room_of_the_server(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    packages = [ROOT / name for name in ("lowland", "sam")]
    sources = {str(path.relative_to(ROOT)) for root in packages for path in root.rglob("*") if path.is_file()}
    assert names == {name for name in sources if "__pycache__" not in name}
    assert {"lowland/py.typed", "sam/py.typed"} <= names


def test_help_is_there_and_has_nothing_of_the_server(python: Path, tmp_path: Path) -> None:
    helped = _run([str(python.with_name("lowland")), "--help"], tmp_path)
    show = "import sys; from lowland.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    loaded = _run([str(python), "-c", show], tmp_path)

    assert (helped.returncode, helped.stderr) == (0, "")
    assert "Usage: lowland" in helped.stdout
    assert "lowland.cli.main" in loaded.stdout
    assert OF_THE_SERVER.isdisjoint(loaded.stdout.split())


def test_the_client_is_there(python: Path, tmp_path: Path) -> None:
    shown = _run(
        [str(python), "-c", "from lowland.client import Client; print(Client('http://127.0.0.1:1'))"], tmp_path
    )

    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("command", [["serve"], ["keys", "ls"], ["rebuild"]], ids=" ".join)
def test_what_needs_the_server_says_in_one_line_how_to_get_it(python: Path, tmp_path: Path, command: list[str]) -> None:
    ended = _run([str(python.with_name("lowland")), *command], tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "lowland: the server is not installed here (no module stack); clone Lowland's repository and run there "
        "`make setup`, or `pip install -c constraints.txt -e '.[server]'`\n"
    )


def test_sam_steps_once_torch_is_there(wheel: Path, tmp_path: Path) -> None:
    python = _installed(wheel, tmp_path / "python", "lowland[torch]")

    stepped = _run([str(python), "-c", _STEP], tmp_path)

    assert (stepped.returncode, stepped.stdout) == (0, "True\n"), stepped.stderr


def _installed(wheel: Path, folder: Path, requirement: str) -> Path:
    python = environment(folder, requirement)
    _pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    return python


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Where nothing of the checkout can be found."""
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
