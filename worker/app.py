"""The Celery worker, thin: `celery -A worker.app worker`. It answers bells; everything else is the runner's.

worker_init            the parent loads torch, so that engines can be forked warm; it computes nothing
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

from worker.bells import ANSWER, bell_app, listen
from worker.devices import device_classes, devices
from worker.heart import Heart
from worker.runner import Runner
from worker.settings import WorkerSettings

log: Final = logging.getLogger(__name__)

#: How often the worker looks for dead runners and tells the ledger who lives. Celery is told of a death too, but looks
#: before the kernel has the exit status as often as not, and then again only after 5 s.
BEAT_EVERY_S: Final = 1.0


class Worker:
    """What this process and its children are: the parent's heart, a child's runner.

    Args:
        settings: of the machine.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings: Final = settings
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
listen(app, device_classes(devices(worker.settings)))
app.conf.worker_concurrency = len(devices(worker.settings))


@app.task(name=ANSWER, bind=True)
def answer(bell: Task) -> None:
    """Answer a bell. A runner that was told to stop makes way for a fresh one instead."""
    if worker.draining:
        return
    if worker.runner is None:
        worker.runner = Runner(worker.settings, str(bell.request.hostname), worker.runner_name(os.getpid()))
    # here and not when the process starts: billiard sets its own handler after that, which would take the engine along
    worker.runner.drain_on_sigterm()
    if worker.runner.drain.raised:
        os._exit(0)
    worker.runner.answer()


@signals.worker_init.connect
def load_torch(**_: Any) -> None:
    """Import what engines need. No tensor, no thread, no CUDA: what is forked must be whole."""
    if worker.settings.engine_start == "fork":
        from worker.engine import preload  # noqa: PLC0415  the keeper and the tests of this module do without torch

        preload()


@signals.worker_ready.connect
def enroll(sender: Any, **_: Any) -> None:
    """Enroll the worker, and keep its heart beating."""
    worker.heart = Heart(worker.settings, str(sender.hostname), worker.incarnation, worker.live_runners)
    sender.timer.call_repeatedly(BEAT_EVERY_S, _beat, (worker.heart, sender.pool.maintain_pool))
    _stop_unless(worker.heart.beat())


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
    _stop_unless(heart.beat())


def _stop_unless(welcome: bool) -> None:
    if not welcome:
        os.kill(os.getpid(), signal.SIGTERM)
