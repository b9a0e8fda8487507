"""What the engine reads from its environment, and the only place where it does."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Settings of the machine, not of the job: `LOWLAND_DATA_DIR` and so on."""

    model_config = SettingsConfigDict(
        env_prefix="LOWLAND_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path | None = None
    """Folder with datasets as torchvision unpacks them; only read from."""
    download_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "lowland" / "datasets")
    """Where datasets that are not in `data_dir` are downloaded to, and found again."""
    threads: int | None = Field(default=None, ge=1)
    """Threads torch computes with on a CPU; the default is torch's own choice, one per core."""
