"""Environments that hold what some requirements need and nothing else, made of what is installed here: no network."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.stack.house import ROOT

_OURS: Final = "lowland"


@cache
def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment(folder: Path, *requirements: str) -> Path:
    """Make an environment with what the requirements need; `lowland[api]` is that extra, without Lowland itself.

    Returns:
        Its python.
    """
    # not the environment's own python, which would bring its packages along
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)], check=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    for name in _tops(closure(requirements)):
        (packages / name.name).symlink_to(name)
    return python


def closure(requirements: Iterable[str]) -> list[Distribution]:
    """What is installed here of what the requirements need, and of what that needs."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(text) for text in requirements]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        if name == _OURS:
            left += _of_project(wanted.extras)
            continue
        found[name] = distribution(name)
        left += [one for one in map(Requirement, found[name].requires or []) if _applies(one, wanted.extras)]
    return list(found.values())


def _of_project(extras: Iterable[str]) -> list[Requirement]:
    texts: list[str] = [*project()["dependencies"]]
    for extra in extras:
        texts += project()["optional-dependencies"][extra]
    return [one for one in map(Requirement, texts) if _applies(one, ())]


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras])


def _tops(distributions: Iterable[Distribution]) -> set[Path]:
    """The files and folders right in site-packages that belong to them."""
    return {
        Path(str(one.locate_file(file.parts[0])))
        for one in distributions
        for file in one.files or []
        if file.parts[0] not in {"..", "__pycache__"}
    }
