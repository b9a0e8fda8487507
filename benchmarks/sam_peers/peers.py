"""Other libraries' SAM optimizers, from PyPI, in a virtual environment of their own.

They are measured and tried, never used: no room of the project imports them. Their environment holds no torch. Its
packages are put last on this process's path, so that they find the torch (and numpy) that runs here, and so that both
sides of a comparison run in one process.
"""

import importlib
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

#: Module and version of every peer. davda54/sam has no package; pytorch_optimizer's and zij's SAM descend from it.
PINS: Final[Mapping[str, str]] = MappingProxyType({"pytorch_optimizer": "4.1.0", "zij": "0.1.1"})


def default_folder() -> Path:
    """Where the environment is made unless told otherwise: a cache, so that it may be deleted at any time."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lowland" / f"peers-python{sys.version_info.major}.{sys.version_info.minor}"


def load(folder: Path) -> dict[str, ModuleType]:
    """Install what is missing in this folder, and import the peers by name.

    Raises:
        subprocess.CalledProcessError: pip could not install them; what it said stands on stderr.
    """
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    if installed(packages) != PINS:
        install(folder)
    if str(packages) not in sys.path:
        sys.path.append(str(packages))
    return {name: importlib.import_module(name) for name in PINS}


def installed(packages: Path) -> dict[str, str]:
    """The peers found in a site-packages folder, with their versions."""
    found = {d.name.replace("-", "_"): d.version for d in metadata.distributions(path=[str(packages)])}
    return {name: found[name] for name in PINS if name in found}


def install(folder: Path) -> None:
    """Make the environment and install the peers. What they need is torch and numpy, which run here already."""
    venv.create(folder, with_pip=True)
    python = sysconfig.get_path("scripts", "venv", vars={"base": str(folder)})
    wanted = [f"{name}=={version}" for name, version in PINS.items()]
    subprocess.run(
        [str(Path(python) / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *wanted],
        check=True,
        stdout=sys.stderr,
    )


def described(loaded: Mapping[str, ModuleType]) -> list[str]:
    """One line for each peer: its version, and the torch it declares, which may not be the one that runs here."""
    lines: list[str] = []
    for name in loaded:
        torch_wanted = [r for r in metadata.requires(name) or [] if r.startswith("torch")]
        lines.append(f"{name} {metadata.version(name)} (declares {', '.join(torch_wanted)})")
    return lines
