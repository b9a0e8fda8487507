"""The Celery worker, thin: `celery -A worker.app worker`. It answers bells; everything else is the runner's.

worker_init            the parent loads torch, so that engines can be forked warm; it computes nothing
worker_ready           the worker is enrolled in the ledger, and its heart beats
worker_process_init    a pool child becomes a runner
task_failure           a runner died: its run is ended at once
worker_shutting_down   SIGTERM is passed on to the runners, which put their jobs back
worker_shutdown        the worker leaves the ledger
"""

import contextlib
import logging
import os
import signal
from typing import Any, Final

from celery import Celery, Task, signals
from celery.worker import state

from ledger import Failure, Keys, Ledger, LedgerUnavailable, transitions
from worker.bells import ANSWER, bell_app, listen
from worker.devices import device_classes, devices
from worker.runner import REDIS_TIMEOUT_S, Runner
from worker.settings import WorkerSettings

log: Final = logging.getLogger(__name__)

#: How often the worker tells the ledger that it is alive.
HEARTBEAT_EVERY_S: Final = 3.0
#: How often dead runners are looked for. Celery is told of a death, but looks before the kernel has the exit status as
#: often as not, and then again only after 5 s.
LOOK_FOR_DEATHS_EVERY_S: Final = 0.5

RESTARTED: Final = Failure(
    type="worker-restarted", title="The worker was restarted", detail="the worker died or was killed, and started anew"
)
RUNNER_DIED: Final = Failure(
    type="runner-died", title="The runner died", detail="the process that ran the job died or was killed"
)

settings: Final = WorkerSettings()
app: Final[Celery] = bell_app(settings)
listen(app, device_classes(devices(settings)))
app.conf.worker_concurrency = len(devices(settings))

#: The runner of this process, once it is a pool child.
_runners: Final[list[Runner]] = []


@app.task(name=ANSWER, bind=True)
def answer(bell: Task) -> None:
    """Answer a bell. A runner that was told to stop makes way for a fresh one instead."""
    runner = _runners[0]
    # here and not at the process's start: billiard sets its own handler after that, which would take the engine along
    runner.drain_on_sigterm()
    if runner.drain.raised:
        os._exit(0)
    runner.answer(str(bell.request.id))


@signals.worker_init.connect
def load_torch(**_: Any) -> None:
    """Import what engines need. No tensor, no thread, no CUDA: what is forked must be whole."""
    if settings.engine_start == "fork":
        from worker.engine import preload  # noqa: PLC0415  the keeper and the tests of this module do without torch

        preload()


@signals.worker_ready.connect
def enroll(sender: Any, **_: Any) -> None:
    """Enroll the worker, and keep its heart beating. Sent again after each reconnection."""
    if not _hearts:
        _hearts.append(Heart(str(sender.hostname)))
        sender.timer.call_repeatedly(HEARTBEAT_EVERY_S, _hearts[0].beat)
        sender.timer.call_repeatedly(LOOK_FOR_DEATHS_EVERY_S, sender.pool.maintain_pool)
    _hearts[0].beat()


@signals.worker_process_init.connect
def become_runner(sender: Any, **_: Any) -> None:
    """Make this pool child a runner."""
    _runners.append(Runner(settings, str(sender)))


@signals.task_failure.connect
def end_run(task_id: str, exception: BaseException, **_: Any) -> None:
    """End the run of a runner that died (seen by the parent) or broke (seen by itself)."""
    worker = _hearts[0] if _hearts else None
    name = worker.name if worker else _runners[0].worker
    try:
        with Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S) as ledger:
            ended = ledger.run(transitions.abandon(worker=name, bell=task_id, failure=RUNNER_DIED))
    except LedgerUnavailable as error:
        log.warning("run not ended, its lease will run out: %s", error)
        return
    if ended is not None:
        log.warning("runner died: job %s is %s: %r", ended.job_id, ended.status, exception)


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Pass the wish on to the runners at work: Celery's own warm shutdown only stops the intake."""
    for request in state.active_requests:
        if request.worker_pid:
            with contextlib.suppress(ProcessLookupError):  # it has died by itself
                os.kill(request.worker_pid, signal.SIGTERM)


@signals.worker_shutdown.connect
def leave(**_: Any) -> None:
    """Leave the ledger."""
    if _hearts:
        _hearts[0].stop()


class Heart:
    """The worker's presence in the ledger.

    Args:
        name: of the worker, unique among all machines.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._ledger = Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S)
        self._enrolled = False

    def beat(self) -> None:
        """Tell the ledger, if it can be reached; enroll first, also with a ledger that has lost us."""
        try:
            if not self._enrolled or not self._ledger.run(transitions.heartbeat(self.name)):
                self._enroll()
        except LedgerUnavailable as error:
            log.warning("heartbeat not heard: %s", error)

    def stop(self) -> None:
        """Leave."""
        try:
            self._ledger.run(transitions.leave(self.name))
        except LedgerUnavailable as error:
            log.warning("left without a word: %s", error)

    def _enroll(self) -> None:
        names = devices(settings)
        classes = device_classes(names)
        call = transitions.enroll(worker=self.name, classes=classes, devices=names, failure=RESTARTED)
        for ended in self._ledger.run(call):
            log.warning("run of the former worker ended: job %s is %s", ended.job_id, ended.status)
        self._enrolled = True
        log.info("worker enrolled: %s with %s", self.name, ", ".join(names))


_hearts: Final[list[Heart]] = []
