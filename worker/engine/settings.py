"""What the engine reads from its environment, and the only place where it does."""

import os
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX: Final = "LOWLAND_"


class EngineSettings(BaseSettings):
    """Settings of the machine, not of the job: `LOWLAND_DATA_DIR` and so on."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path | None = None
    """Folder with datasets as torchvision unpacks them and with people's own (`folder`, `table`); jobs only read
    from it, `lowland data get` downloads into it."""
    download_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "lowland" / "datasets")
    """Where datasets that are not in `data_dir` are downloaded to, and found again."""
    cache_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "lowland" / "decoded")
    """Where decoded images are kept, so that the next run opens them at once; may be emptied while nothing trains."""
    threads: int | None = Field(default=None, ge=1)
    """Threads torch computes with on a CPU; the default is torch's own choice, one per core."""
    compile_backend: str = "inductor"
    """What `compile` hands the model to: a backend of torch.compile. "inductor" needs a C++ compiler on a CPU."""


def settings_here() -> EngineSettings:
    """Those of this environment. They are read once: it takes longer than a step of a small model.

    Raises:
        ValueError: one is wrong.
    """
    deciding = (
        (name, value) for name, value in os.environ.items() if name == "HOME" or name.upper().startswith(_PREFIX)
    )
    return _read(frozenset(deciding))


@cache
def _read(environment: frozenset[tuple[str, str]]) -> EngineSettings:
    return EngineSettings()
