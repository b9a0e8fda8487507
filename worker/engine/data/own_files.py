"""People's own data: where they are, and that nothing outside LOWLAND_DATA_DIR is read for them."""

from pathlib import Path

from worker.engine.errors import OwnDatasetUnavailable
from worker.engine.settings import EngineSettings


def own_path(dataset: str, path: str, settings: EngineSettings) -> Path:
    """The file or folder that a spec's path names, with every link followed.

    Raises:
        OwnDatasetUnavailable: LOWLAND_DATA_DIR is not set, nothing is there, or it lies elsewhere.
    """
    if settings.data_dir is None:
        raise OwnDatasetUnavailable(
            dataset, path=path, problem="LOWLAND_DATA_DIR is not set; set it to the folder the path begins in"
        )
    root = settings.data_dir.resolve()
    try:
        found = (root / path).resolve(strict=True)
    # A loop of links is a RuntimeError, a NUL a ValueError.
    except (OSError, RuntimeError, ValueError) as error:
        raise OwnDatasetUnavailable(dataset, path=path, problem=f"{root} has nothing there that can be read") from error
    if not found.is_relative_to(root):
        raise OwnDatasetUnavailable(dataset, path=path, problem=f"it leads out of {root}; give a path that stays in it")
    return found
