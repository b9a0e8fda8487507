"""A run from its spec to its exit status: the edge where every error becomes a report."""

import contextlib
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

import torch.distributed as dist

from lowland.errors import SpecInvalid
from lowland.spec.job import JobSpec
from lowland.spec.reports import EXIT_STOPPED, Broken
from lowland.spec.strict_json import JsonMalformed, parse_json
from worker.engine.device import choose_device, computing
from worker.engine.errors import SpecUnusable, broken, has_name
from worker.engine.functions.minimise import minimise
from worker.engine.launch import joined, together
from worker.engine.ranks import ALONE, Ranks
from worker.engine.reporting import SILENT, Reporter
from worker.engine.session import Session
from worker.engine.settings import settings_here
from worker.engine.stop import StopFlag, Stopped, stop_on_sigterm
from worker.engine.train import train


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is told beside its spec."""

    out: Path
    reports: BinaryIO | int
    resume: Sequence[Path] = ()
    keep_all: bool = False
    weights: Path | None = None


def read_spec(path: Path) -> JobSpec:
    """Read a spec from a JSON file.

    Raises:
        SpecUnusable: the file cannot be read, is not JSON, or says what the contract does not allow.
    """
    try:
        return JobSpec.parse(parse_json(path.read_bytes(), what=str(path)))
    except OSError as error:
        raise SpecUnusable(f"{path} cannot be read: {error.strerror}") from error
    except (JsonMalformed, SpecInvalid) as error:
        raise SpecUnusable(str(error)) from error


def run_spec(read: Callable[[], JobSpec], order: Order) -> int:
    """Train what `read` gives; return the exit status. Whatever goes wrong has been reported."""
    reporter = Reporter(order.reports)
    try:
        with stop_on_sigterm() as stop:
            _run(read(), order, reporter, stop)
    except Stopped:
        return EXIT_STOPPED
    except Exception as error:  # noqa: BLE001  the edge
        # Where nobody reads the reports any more, the exit status is all that is left to say.
        with contextlib.suppress(OSError):
            reporter.send(broken(error))
        if not has_name(error):  # what has one says all there is to say
            with contextlib.suppress(OSError):  # the log may lie on the disk that is full
                traceback.print_exc(file=sys.stderr)
        return 1
    return 0


def _run(spec: JobSpec, order: Order, reporter: Reporter, stop: StopFlag) -> None:
    order.out.mkdir(parents=True, exist_ok=True)
    if dist.is_torchelastic_launched():
        _as_rank(spec, order, reporter, stop, None)
    elif spec.resources.world_size == 1:
        _in_session(spec, order, reporter, stop, ALONE)
    else:
        with tempfile.TemporaryDirectory(prefix="lowland-ranks-") as folder:
            together(
                spec.resources.world_size,
                partial(_as_rank, spec, order, reporter, stop, Path(folder) / "store"),
                give_up=partial(_give_up, reporter, Path(folder)),
            )


def _as_rank(
    spec: JobSpec, order: Order, reporter: Reporter, stop: StopFlag, rendezvous: Path | None, rank: int | None = None
) -> None:
    with joined(rank, spec.resources.world_size, rendezvous, device=spec.resources.device) as ranks:
        _in_session(spec, order, reporter if ranks.is_first else SILENT, stop, ranks)


def _in_session(spec: JobSpec, order: Order, reporter: Reporter, stop: StopFlag, ranks: Ranks) -> None:
    settings = settings_here()
    device = choose_device(spec.resources.device, rank=ranks.rank)
    session = Session(
        settings=settings,
        device=device,
        out=order.out,
        reporter=reporter,
        stop=stop,
        resume=tuple(order.resume),
        keep_all=order.keep_all,
        weights=order.weights,
        ranks=ranks,
    )
    task = train if spec.function is None else minimise
    with computing(device, deterministic=spec.deterministic, threads=settings.threads, ranks=ranks.count):
        task(spec, session)


def _give_up(reporter: Reporter, folder: Path, failure: Broken) -> NoReturn:
    """End this process from a thread, while its main thread waits for a rank that is gone, and leave nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        reporter.send(failure)
    os._exit(1)
