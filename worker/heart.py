"""A worker's presence in the ledger: its name, what it has, and which of its runners live.

With each beat the ledger ends the runs of runners that are gone and frees their slots, however they went and whatever
the ledger had been told of it before.
"""

import logging
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from ledger import (
    Displaced,
    Failure,
    Keys,
    Ledger,
    LedgerUnavailable,
    LedgerUnusable,
    Machine,
    NotEnrolled,
    OtherStore,
    Presence,
    presence,
    runs,
)
from ledger.logs import about
from ledger.store import claim_store
from worker.runner import REDIS_TIMEOUT_S
from worker.settings import WorkerSettings

log: Final = logging.getLogger(__name__)

RUNNER_DIED: Final = Failure(
    type="runner-died", title="The runner died", detail="the process that ran the job died or was killed"
)


class Beat(Enum):
    """What a worker is to do after a beat."""

    GO_ON = "go on"
    DRAIN = "drain"
    """It was asked to stop."""
    REFUSED = "refused"
    """There is no place for it."""


class Heart:
    """Beats for one start of a worker.

    Args:
        settings: of the machine.
        machine: what it offers.
        name: of the worker, unique among all machines.
        incarnation: of this start.
        live_runners: gives the names of the runners that live.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        machine: Machine,
        name: str,
        incarnation: str,
        live_runners: Callable[[], Sequence[str]],
    ) -> None:
        self._ledger = Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S)
        self._root = settings.artifact_dir
        self._machine = machine
        self._name = name
        self._incarnation = incarnation
        self._live_runners = live_runners
        self._enrolled = False

    def beat(self) -> Beat:
        """Tell the ledger, if it can be reached, and learn what to do."""
        try:
            if not self._enrolled:
                return self._enroll()
            heard = self._ledger.run(presence.heartbeat(self._presence(), failure=RUNNER_DIED))
        except NotEnrolled:
            log.warning("the ledger has forgotten worker %s", self._name)
            self._enrolled = False
        except (Displaced, OtherStore) as error:
            log.error("%s", error)
            return Beat.REFUSED
        except LedgerUnavailable as error:
            log.warning("heartbeat not heard: %s", error)
        else:
            for ended in heard.ended:
                with about(worker=self._name, **runs.names_of(ended)):
                    log.warning("runner died: job %s is %s", ended.job_id, ended.status)
            return Beat.DRAIN if heard.draining else Beat.GO_ON
        return Beat.GO_ON

    def stop(self) -> None:
        """Leave."""
        try:
            self._ledger.run(presence.leave(self._presence(), failure=RUNNER_DIED))
        except LedgerUnavailable as error:
            log.warning("left without a word: %s", error)

    def _enroll(self) -> Beat:
        try:
            self._ledger.check()
            store = claim_store(self._root)
        except LedgerUnusable as error:
            log.error("%s", error)
            return Beat.REFUSED
        except OSError as error:
            log.error("the artifact store %s cannot be used: %s", self._root, error)
            return Beat.REFUSED
        call = presence.enroll(self._presence(), self._machine, store=store, failure=RUNNER_DIED)
        for ended in self._ledger.run(call):
            with about(worker=self._name, **runs.names_of(ended)):
                log.warning("run of a former worker ended: job %s is %s", ended.job_id, ended.status)
        self._enrolled = True
        slots = ", ".join(f"{slot.name} ({slot.model})" for slot in self._machine.slots)
        log.info("worker enrolled: %s with %s", self._name, slots)
        return Beat.GO_ON

    def _presence(self) -> Presence:
        return Presence(worker=self._name, incarnation=self._incarnation, runners=self._live_runners())
