"""The Celery worker, thin: `celery -A worker.app worker`. It answers bells; everything else is the runner's.

setup_logging          the log is written as everywhere
worker_init            Celery leaves other workers alone; the parent loads torch, so that engines can be forked warm
worker_ready           the worker enrolls in the ledger, and its heart beats
worker_shutting_down   SIGTERM is passed on to the runners, which put their jobs back
worker_shutdown        the worker leaves the ledger
"""

import contextlib
import logging
import os
import signal
import uuid
from collections.abc import Callable
from typing import Any, Final

from billiard.process import active_children
from celery import Celery, Task, signals
from celery.worker import state

from ledger.logs import configure
from worker.bells import ANSWER, bell_app, listen
from worker.devices import machine_of
from worker.heart import Beat, Heart
from worker.huge_pages import use_huge_pages
from worker.runner import Runner
from worker.settings import WorkerSettings

log: Final = logging.getLogger(__name__)

#: How often the worker looks for dead runners and tells the ledger who lives. Celery is told of a death too, but looks
#: before the kernel has the exit status as often as not, and then again only after 5 s.
BEAT_EVERY_S: Final = 1.0

#: Exit status of a worker for which there is no place: its name is in use, or its artifact store is another one.
EXIT_REFUSED: Final = 2


class Worker:
    """What this process and its children are: the parent's heart, a child's runner.

    Args:
        settings: of the machine.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings: Final = settings
        self.machine: Final = machine_of(settings)
        #: Of this start of the worker; its children inherit it.
        self.incarnation: Final = uuid.uuid4().hex
        #: Set when the parent was told to stop: a child that is forked after that answers nothing.
        self.draining = False
        self.heart: Heart | None = None
        self.runner: Runner | None = None

    def runner_name(self, pid: int) -> str:
        """What a child is called in the ledger."""
        return f"{self.incarnation}:{pid}"

    def live_runners(self) -> list[str]:
        """The children that live."""
        return [self.runner_name(child.pid) for child in active_children()]


worker: Final = Worker(WorkerSettings.of_process())
app: Final[Celery] = bell_app(worker.settings)
listen(app, worker.machine.classes)
app.conf.worker_concurrency = len(worker.machine.slots)


@app.task(name=ANSWER, bind=True)
def answer(bell: Task) -> None:
    """Answer a bell. A runner that was told to stop makes way for a fresh one instead."""
    if worker.draining:
        return
    if worker.runner is None:
        worker.runner = Runner(
            worker.settings,
            worker.machine,
            worker=str(bell.request.hostname),
            incarnation=worker.incarnation,
            name=worker.runner_name(os.getpid()),
        )
    # here and not when the process starts: billiard sets its own handler after that, which would take the engine along
    worker.runner.drain_on_sigterm()
    if worker.runner.drain.raised:
        os._exit(0)
    worker.runner.answer()


@signals.setup_logging.connect
def write_log(**_: Any) -> None:
    """Log as every process of the server does; Celery leaves it to whoever listens here."""
    configure(worker.settings, process="worker")


@signals.worker_init.connect
def keep_apart(sender: Any, **_: Any) -> None:
    """Workers meet in the ledger; what Celery has for that takes a second at the start, and channels of its own."""
    sender.options.update(without_gossip=True, without_mingle=True, without_heartbeat=True)


@signals.worker_init.connect
def load_torch(**_: Any) -> None:
    """Import what engines need. No tensor, no thread, no CUDA: what is forked must be whole."""
    if worker.settings.engine_start == "fork":
        from worker.engine import preload  # noqa: PLC0415  the keeper and the tests of this module do without torch

        preload()
        use_huge_pages()


@signals.worker_ready.connect
def enroll(sender: Any, **_: Any) -> None:
    """Enroll the worker, and keep its heart beating."""
    name = str(sender.hostname)
    worker.heart = Heart(worker.settings, worker.machine, name, worker.incarnation, worker.live_runners)
    sender.timer.call_repeatedly(BEAT_EVERY_S, _beat, (worker.heart, sender.pool.maintain_pool))
    _obey(worker.heart.beat())


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Pass the wish on: Celery's own warm shutdown only stops the intake. A runner without a job may as well go."""
    worker.draining = True
    for child in active_children():
        with contextlib.suppress(ProcessLookupError):  # it has died by itself
            os.kill(child.pid, signal.SIGTERM)


@signals.worker_shutdown.connect
def leave(**_: Any) -> None:
    """Leave the ledger."""
    if worker.heart is not None:
        worker.heart.stop()


def _beat(heart: Heart, replace_the_dead: Callable[[], object]) -> None:
    try:
        replace_the_dead()
    except OSError as error:
        log.warning("no runner can be started: %s", error)
    _obey(heart.beat())


def _obey(beat: Beat) -> None:
    match beat:
        case Beat.GO_ON:
            pass
        case Beat.DRAIN if worker.draining:  # it is on its way
            pass
        case Beat.DRAIN:
            os.kill(os.getpid(), signal.SIGTERM)
        case Beat.REFUSED:  # as after SIGTERM, but with an exit status that says that something is wrong
            drain()
            state.should_stop = EXIT_REFUSED
