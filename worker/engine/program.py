"""A run from its spec to its exit status: the edge where every error becomes a report."""

import contextlib
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from lowland.errors import SpecInvalid
from lowland.spec.job import JobSpec
from lowland.spec.reports import EXIT_STOPPED
from worker.engine.errors import SpecUnusable, broken
from worker.engine.reporting import Reporter
from worker.engine.settings import EngineSettings
from worker.engine.stop import Stopped, stop_on_sigterm
from worker.engine.train import train


def read_spec(path: Path) -> JobSpec:
    """Read a spec from a JSON file.

    Raises:
        SpecUnusable: the file cannot be read, is not JSON, or says what the contract does not allow.
    """
    try:
        return JobSpec.parse(json.loads(path.read_bytes()))
    except OSError as error:
        raise SpecUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SpecUnusable(f"{path} is not JSON: {error}") from error
    except SpecInvalid as error:
        raise SpecUnusable(str(error)) from error


def run_spec(
    read: Callable[[], JobSpec], *, out: Path, reports: BinaryIO | int, resume: Path | None, keep_all: bool
) -> int:
    """Train what `read` gives; return the exit status. Whatever goes wrong has been reported."""
    reporter = Reporter(reports)
    try:
        with stop_on_sigterm() as stop:
            train(
                read(),
                settings=EngineSettings(),
                out=out,
                reporter=reporter,
                resume=resume,
                keep_all=keep_all,
                stop=stop,
            )
    except Stopped:
        return EXIT_STOPPED
    except Exception as error:  # noqa: BLE001  # the edge
        traceback.print_exc(file=sys.stderr)
        # Where nobody reads the reports any more, the exit status is all that is left to say.
        with contextlib.suppress(OSError):
            reporter.send(broken(error))
        return 1
    return 0
