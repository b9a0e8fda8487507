"""Sending reports: one line each, at once; progress at most a few times a second. All others are logged too."""

import logging
import os
import time
from typing import BinaryIO, Final

from lowland.spec.reports import Advanced, Preparation, Preparing, Report, write_report
from lowland.spec.resource import Progress

log: Final = logging.getLogger(__name__)

#: Not for the log: they come several times a second.
_PASSING: Final = (Advanced, Preparing)
#: Seconds between two progress reports, at least.
PROGRESS_INTERVAL_S: Final = 0.25
#: Seconds between two reports that data are being prepared, at least.
PREPARING_INTERVAL_S: Final = 1.0


class Reporter:
    """Writes reports to the file or descriptor given, which it leaves open; with None it sends nothing."""

    def __init__(self, to: BinaryIO | int | None) -> None:
        self._file = os.fdopen(to, "wb", closefd=False) if isinstance(to, int) else to

    def send(self, *reports: Report) -> None:
        """Write one line each, and see them off together."""
        if self._file is not None:
            for report in reports:
                self._file.write(write_report(report))
                if not isinstance(report, _PASSING):
                    log.info("%s", _line(report))
            self._file.flush()


def log_to_stderr() -> None:
    """Have this process's log be what GET /jobs/{id}/logs shows: plain text, with our own lines about the run."""
    form, times = "%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"
    logging.basicConfig(level=logging.WARNING, format=form, datefmt=times, force=True)
    logging.getLogger("worker.engine").setLevel(logging.INFO)


def _line(report: Report) -> str:
    """A report as `kind name=value ...`."""
    said = report.model_dump(exclude={"report", "objective", "metrics"}, exclude_none=True)
    metrics: dict[str, float] = getattr(report, "metrics", {})
    return " ".join([report.report, *(f"{name}={_short(value)}" for name, value in {**said, **metrics}.items())])


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


#: For a process that another one speaks for.
SILENT: Final = Reporter(None)


class PreparingMeter:
    """Says now and then that the engine is alive while it prepares so many things."""

    def __init__(self, reporter: Reporter, work: Preparation, *, of: int) -> None:
        self._reporter = reporter
        self._work: Preparation = work
        self._of = of
        self._done = 0
        self._sent_at = time.monotonic()

    def count(self, more: int) -> None:
        """So many more are done."""
        self._done += more
        if time.monotonic() - self._sent_at >= PREPARING_INTERVAL_S:
            self._reporter.send(Preparing(work=self._work, done=self._done, of=self._of))
            self._sent_at = time.monotonic()


class ProgressMeter:
    """Says how far a run has come, how fast it goes and how long it will take."""

    def __init__(self, reporter: Reporter, *, first_step: int, steps: int, epochs: int) -> None:
        self._reporter = reporter
        self._first_step = first_step
        self._steps = steps
        self._epochs = epochs
        self._began_at = self._sent_at = time.monotonic()
        self._samples = 0
        self._sent = False

    def due(self, *, step: int, samples: int) -> bool:
        """Count a step; whether it is time to report: at the first step, a few times a second, at the last."""
        self._samples += samples
        return not self._sent or step == self._steps or time.monotonic() - self._sent_at >= PROGRESS_INTERVAL_S

    @property
    def is_behind(self) -> bool:
        """Whether steps were counted since the last report."""
        return self._samples > 0

    def send(self, *, step: int, epoch: int) -> None:
        """Report that so many steps were taken; `epoch` is the one under way, from 1."""
        now = time.monotonic()
        taken = step - self._first_step
        self._reporter.send(
            Advanced(
                progress=Progress(
                    epoch=epoch,
                    epochs=self._epochs,
                    step=step,
                    steps=self._steps,
                    fraction=step / self._steps,
                    # The first steps are slow (memory is being asked for): they say nothing about the rest.
                    eta_s=(now - self._began_at) / taken * (self._steps - step) if self._sent else None,
                    samples_per_s=self._samples / (now - self._sent_at) if self._sent else None,
                )
            )
        )
        self._sent = True
        self._sent_at = now
        self._samples = 0
