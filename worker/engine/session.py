"""Where a run happens: what it is given beside its spec, the same for every task."""

from dataclasses import dataclass
from pathlib import Path

import torch

from worker.engine.ranks import ALONE, Ranks
from worker.engine.reporting import Reporter
from worker.engine.settings import EngineSettings
from worker.engine.stop import StopFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of one process."""

    settings: EngineSettings
    device: torch.device
    out: Path
    """Folder for checkpoints and artifacts; exists."""
    reporter: Reporter
    """Says nothing where another rank speaks for all."""
    stop: StopFlag
    resume: tuple[Path, ...] = ()
    """Checkpoints to go on from, the latest first: the next one is taken where one is damaged."""
    keep_all: bool = False
    """Leave every checkpoint to whoever reads the reports, instead of keeping the last two."""
    weights: Path | None = None
    """The file that `model.init_from` means."""
    ranks: Ranks = ALONE
