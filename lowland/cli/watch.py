"""`lowland watch`: jobs as they go, live on a terminal, line by line elsewhere.

Each job is waited for in a thread of its own, with its own client. What they see lies in `Watched`; the screen is drawn
from there.
"""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from lowland.cli import wording
from lowland.cli.connecting import PATIENT_S, connected
from lowland.cli.exits import Exit, code_of, say
from lowland.cli.printing import json_option, print_json_line, print_line
from lowland.errors import LowlandError

if TYPE_CHECKING:
    from lowland.client import Client
    from lowland.spec.resource import Job

#: How often the screen is drawn, and threads are looked at.
_DRAW_S: Final = 0.125
#: Values of the objective that are asked for at once; a sparkline is shorter.
_PAST: Final = 1000


@dataclass(kw_only=True)
class Watched:
    """What is known of a job that is watched."""

    job_id: str
    job: "Job | None" = None
    values: list[float] = field(default_factory=list[float])
    """Of its objective, in order."""
    error: LowlandError | None = None
    """Why it is watched no more, where it has not come to its end."""

    @property
    def code(self) -> Exit:
        """What its end means."""
        if self.error is not None:
            return code_of(self.error)
        if self.job is None or not self.job.terminal:
            return Exit.FAILED
        return Exit.DONE if self.job.status == "succeeded" else Exit.ENDED_BADLY


@click.command(
    epilog="""\b
Examples:
  lowland watch 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e
  lowland watch $(lowland ls --status running --json | jq -r '.[].id')"""
)
@click.argument("job_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Watch so long at most.")
@json_option
def watch(job_ids: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """Watch jobs until their ends.

    On a terminal with bars, the time that is left and the course of the objective; elsewhere a line for each change,
    with --json the job itself, one line each time. Ctrl-C stops the watching and not the jobs. The exit code is 0 if
    all succeeded, and else that of the first that did not: 3 for one that failed or was cancelled.
    """
    watched(job_ids, timeout_s=timeout, as_json=as_json)


def watched(job_ids: Sequence[str], *, timeout_s: float | None, as_json: bool) -> None:
    """Watch jobs until their ends, and exit."""
    with connected():  # a wrong URL is said once
        jobs = [Watched(job_id=job_id) for job_id in dict.fromkeys(job_ids)]
    live = sys.stdout.isatty() and not as_json
    tell = _silent if live else print_json_line if as_json else _line_teller()
    news = SimpleQueue["Job"]()
    context = click.get_current_context()

    def follow(one: Watched) -> None:
        with context.scope(cleanup=False), connected(retry_s=PATIENT_S) as own:
            _follow(own, one, news, timeout_s=timeout_s, with_course=live)

    threads = [threading.Thread(target=follow, args=(one,), daemon=True) for one in jobs]
    with _noticed_ctrl_c() as stopped:
        for thread in threads:
            thread.start()
        if live:
            from lowland.cli.screen import draw  # noqa: PLC0415  help needs none of it

            draw(jobs, threads, stopped, every_s=_DRAW_S)
        while not stopped.is_set() and (any(thread.is_alive() for thread in threads) or not news.empty()):
            with suppress(Empty):
                tell(news.get(timeout=_DRAW_S))
    if stopped.is_set():
        raise SystemExit(Exit.INTERRUPTED)
    for one in jobs:
        if one.error is not None:
            say(one.error)
    if code := next((one.code for one in jobs if one.code), None):
        raise SystemExit(code)


@contextmanager
def _noticed_ctrl_c() -> Generator[threading.Event]:
    """Ctrl-C sets this. As an exception it would now and then come up where Python drops those: in a destructor."""
    stopped = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(
    client: "Client", one: Watched, news: "SimpleQueue[Job]", *, timeout_s: float | None, with_course: bool
) -> None:
    """Wait for a job's end, and note each change; with what was measured, if it is to be shown."""

    def note(job: "Job") -> None:
        if with_course and job.objective is not None and (one.job is None or job.objective != one.job.objective):
            with suppress(LowlandError):  # it is an ornament
                curve = client.metrics(job, names=[job.objective.name], max_points=_PAST)[job.objective.name]
                one.values = [value for value in curve if value is not None]
        one.job = job
        news.put(job)

    try:
        client.wait(one.job_id, timeout_s=timeout_s, on_update=note)
    except LowlandError as error:
        one.error = error


def _silent(job: "Job") -> None:
    """The screen shows it."""


def _line_teller() -> Callable[["Job"], None]:
    """Says a job when its state, its wish or its objective has changed."""
    said = dict[str, object]()

    def tell(job: "Job") -> None:
        news = (job.status, job.requested, job.objective, job.error)
        if said.get(job.id) != news:
            said[job.id] = news
            print_line(describe(job))

    return tell


def describe(job: "Job") -> str:
    """A job on one line."""
    parts = [job.id, f"{job.status}"]
    if job.requested:
        parts.append(f"requested={job.requested}")
    if job.progress:
        parts.append(f"epoch={job.progress.epoch}/{job.progress.epochs}")
    if job.objective:
        parts.append(f"{job.objective.name}={wording.number(job.objective.value)}")
    if job.error and job.status in {"failed", "queued"}:
        parts.append(f"error={job.error.title}: {job.error.detail}")
    return " ".join(parts)
