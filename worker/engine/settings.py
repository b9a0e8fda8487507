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
    """Folder with datasets as torchvision unpacks them and with people's own (`folder`, `table`); only read from."""
    download_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "lowland" / "datasets")
    """Where datasets that are not in `data_dir` are downloaded to, and found again."""
    cache_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "lowland" / "decoded")
    """Where decoded images are kept, so that the next run opens them at once; may be emptied while nothing trains."""
    threads: int | None = Field(default=None, ge=1)
    """Threads torch computes with on a CPU; the default is torch's own choice, one per core."""
    compile_backend: str = "inductor"
    """What `compile` hands the model to: a backend of torch.compile. "inductor" needs a C++ compiler on a CPU."""
