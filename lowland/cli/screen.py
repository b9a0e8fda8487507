"""The live screen of `lowland watch`: two lines a job, as wide as the terminal.

kmnist cnn friendly                             01a20eac-4e6a-74fe-bc88-99ef8f3dca2e
running ━━━━━━━━━━━━━━━━━━━━  64%  epoch 7/10  1m 5s left  accuracy 0.9712 ▁▃▅▆▇█
"""

import threading
from collections.abc import Sequence

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lowland.cli import wording
from lowland.cli.jobs import subject
from lowland.cli.printing import clean, console, plain, status_text
from lowland.cli.watch import Watched
from lowland.spec.resource import Job

#: From how wide a terminal on a line has everything; below, the sparkline is shorter.
_WIDE = 100
_STATUS_WIDTH = 9


def draw(
    jobs: Sequence[Watched], threads: Sequence[threading.Thread], stopped: threading.Event, *, every_s: float
) -> None:
    """Draw the jobs until the threads have ended, or that is set; their last state stays on the screen."""
    terminal = console()
    with Live(console=terminal, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while not stopped.is_set() and (running := [thread for thread in threads if thread.is_alive()]):
            live.update(_screen(jobs, terminal.width), refresh=True)
            running[0].join(every_s)
        live.update(_screen(jobs, terminal.width), refresh=True)


def _screen(jobs: Sequence[Watched], width: int) -> Group:
    return Group(*(_job(one, width) for one in jobs))


def _job(one: Watched, width: int) -> Table | Text:
    if one.job is None:
        return Text(f"{clean(one.job_id)} {'cannot be watched' if one.error else '...'}", style="bright_black")
    title = Table.grid(expand=True, padding=(0, 1, 0, 0))
    title.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    title.add_column(justify="right", no_wrap=True, min_width=len(one.job.id))
    title.add_row(Text(_title(one.job), style="bold"), Text(clean(one.job.id), style="bright_black"))
    outer = Table.grid(expand=True)
    outer.add_row(title)
    outer.add_row(_course(one, one.job, width))
    return outer


def _title(job: Job) -> str:
    name = plain(job.spec).get("name")
    parts = [*([f"{name}:"] if name else []), *(part for part in subject(job) if part != wording.NONE)]
    return clean(" ".join(parts))


def _course(one: Watched, job: Job, width: int) -> Table:
    row = Table.grid(expand=True, padding=(0, 2, 0, 0))
    status = status_text(f"{job.requested}..." if job.requested else f"{job.status}")
    cells: list[Text | ProgressBar] = [status]
    row.add_column(no_wrap=True, min_width=_STATUS_WIDTH)
    if job.progress is not None:
        row.add_column(ratio=1, min_width=4)
        cells.append(ProgressBar(total=1.0, completed=job.progress.fraction, complete_style="cyan"))
        row.add_column(justify="right", no_wrap=True, min_width=4)
        cells.append(Text(wording.percent(job.progress.fraction)))
    row.add_column(no_wrap=True, overflow="ellipsis", ratio=None if job.progress else 1)
    cells.append(Text("  ".join(_words(one, job))))
    if (line := wording.sparkline(one.values, width=20 if width >= _WIDE else 8)) and len(one.values) > 1:
        row.add_column(no_wrap=True)
        cells.append(Text(line, style="green"))
    row.add_row(*cells)
    return row


def _words(one: Watched, job: Job) -> list[str]:
    words: list[str] = []
    if job.status == "queued" and job.queue:
        words.append(f"place {job.queue.position}: {job.queue.reason}")
    if job.progress and not job.terminal:
        words.append(f"epoch {job.progress.epoch}/{job.progress.epochs}")
        if job.progress.eta_s is not None:
            words.append(f"{wording.span(job.progress.eta_s)} left")
    if job.objective:
        value = job.objective.best if job.terminal else job.objective.value
        words.append(f"{job.objective.name.removeprefix('validation_')} {wording.number(value)}")
    if job.status == "failed" and job.error:
        words.append(job.error.title)
    if one.error is not None:
        words.append("no longer watched")
    return [clean(word) for word in words]
