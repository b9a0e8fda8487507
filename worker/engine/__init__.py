"""The training engine: a program that takes a job spec and a folder, trains, and reports in JSON lines.

    python -m worker.engine spec.json --out DIR [--resume CHECKPOINT]... [--weights FILE]
        [--report-fd N] [--keep-all]

Importing this package is instant. A process that wants to fork engines calls `preload` once, which imports torch and
everything else a run needs without computing anything, and then `run` in the forked child.
"""

import gc
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from lowland.spec.job import JobSpec

__all__ = ["preload", "run"]


@cache
def preload() -> None:
    """Once, import all that a run needs. No tensor is made and CUDA is not touched, so forking afterwards is safe.

    Call it before anything else imports torch: its threads then sleep while they wait for each other. By default they
    spin, and with another busy process on the same cores a step was seen to take 10 times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import worker.engine.program  # noqa: F401, PLC0415  heavy: that is the point
    from worker.engine.artifacts import library_versions  # noqa: PLC0415
    from worker.engine.revision import git_revision  # noqa: PLC0415
    from worker.engine.settings import settings_here  # noqa: PLC0415

    library_versions()  # these read many small files
    git_revision()
    with suppress(ValueError):  # a wrong setting is told by the run that needs it
        settings_here()
    gc.freeze()  # a collection in a fork would touch, and so copy, every page of what is loaded


def run(
    spec: JobSpec,
    *,
    out: Path,
    reports: BinaryIO | int,
    resume: Sequence[Path] = (),
    keep_all: bool = False,
    weights: Path | None = None,
) -> int:
    """Train one spec in this process.

    Args:
        spec: what to train.
        out: the folder for checkpoints and artifacts; made where it is missing.
        reports: where the JSON lines go, a binary file or a descriptor; it stays open.
        resume: checkpoints to go on from, in whatever folder, the latest first; they are only read, and a later one
            only where those before it are damaged.
        keep_all: leave every checkpoint to whoever reads the reports, instead of keeping the last two.
        weights: the file that `model.init_from` means.

    Returns:
        The exit status: 0, `EXIT_STOPPED` or 1. Nothing is raised: an error has been reported and its traceback
        written to standard error.
    """
    preload()
    from worker.engine.program import Order, run_spec  # noqa: PLC0415  heavy

    order = Order(out=out, reports=reports, resume=resume, keep_all=keep_all, weights=weights)
    return run_spec(lambda: spec, order)
