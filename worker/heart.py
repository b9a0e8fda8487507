"""A worker's presence in the ledger: its name, what it has, and which of its runners live.

With each beat the ledger ends the runs of runners that are gone and frees their devices, however they went and whatever
the ledger had been told of it before.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from ledger import (
    Displaced,
    Failure,
    Keys,
    Ledger,
    LedgerUnavailable,
    LedgerUnusable,
    NotEnrolled,
    Presence,
    transitions,
)
from worker.devices import device_classes, devices
from worker.runner import REDIS_TIMEOUT_S
from worker.settings import WorkerSettings

log: Final = logging.getLogger(__name__)

RUNNER_DIED: Final = Failure(
    type="runner-died", title="The runner died", detail="the process that ran the job died or was killed"
)


class Heart:
    """Beats for one start of a worker.

    Args:
        settings: of the machine.
        name: of the worker, unique among all machines.
        incarnation: of this start.
        live_runners: gives the names of the runners that live.
    """

    def __init__(
        self, settings: WorkerSettings, name: str, incarnation: str, live_runners: Callable[[], Sequence[str]]
    ) -> None:
        self._ledger = Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S)
        self._devices = devices(settings)
        self._name = name
        self._incarnation = incarnation
        self._live_runners = live_runners
        self._enrolled = False

    def beat(self) -> bool:
        """Tell the ledger, if it can be reached; False when there is no place for this worker and it should stop."""
        try:
            if not self._enrolled:
                return self._enroll()
            for ended in self._ledger.run(transitions.heartbeat(self._presence(), failure=RUNNER_DIED)):
                log.warning("runner died: job %s is %s", ended.job_id, ended.status)
        except NotEnrolled:
            log.warning("the ledger has forgotten worker %s", self._name)
            self._enrolled = False
        except Displaced as error:
            log.error("%s", error)
            return False
        except LedgerUnavailable as error:
            log.warning("heartbeat not heard: %s", error)
        return True

    def stop(self) -> None:
        """Leave."""
        try:
            self._ledger.run(transitions.leave(self._presence(), failure=RUNNER_DIED))
        except LedgerUnavailable as error:
            log.warning("left without a word: %s", error)

    def _enroll(self) -> bool:
        try:
            self._ledger.check()
        except LedgerUnusable as error:
            log.error("%s", error)
            return False
        call = transitions.enroll(
            self._presence(),
            classes=device_classes(self._devices),
            devices=self._devices,
            failure=RUNNER_DIED,
        )
        for ended in self._ledger.run(call):
            log.warning("run of a former worker ended: job %s is %s", ended.job_id, ended.status)
        self._enrolled = True
        log.info("worker enrolled: %s with %s", self._name, ", ".join(self._devices))
        return True

    def _presence(self) -> Presence:
        return Presence(worker=self._name, incarnation=self._incarnation, runners=self._live_runners())
