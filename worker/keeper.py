"""The keeper sees that nothing is forgotten: `python -m worker.keeper`.

    rings    as many bells for each device class as jobs of it wait, up to some for each slot there is
    expires  leases that were not renewed, once the ledger has been attended for one full lease: a worker that could not
             reach it either is not to blame
    does     the chores of finished jobs (chores.py)

Any number of keepers may run: bells are counted, a run ends once, and a chore is in one keeper's hands. It keeps
nothing in memory that matters.
"""

import logging
import signal
import sys
import time
from types import FrameType
from typing import Final

from celery import Celery

from ledger import Failure, Keys, Ledger, LedgerUnavailable, LedgerUnusable, reads, runs
from ledger.logs import about, configure
from worker.bells import bell_app, ring
from worker.chores import Chores
from worker.settings import KeeperSettings

log: Final = logging.getLogger(__name__)

#: How long the keeper waits for a job to be queued before it looks around all the same.
LOOK_EVERY_S: Final = 1
#: More bells than these do nothing: a slot that is freed wakes the keeper. Where they ring in vain, as for jobs that
#: fit no machine, they are answered and rung again, once in each turn.
BELLS_PER_SLOT: Final = 4
LEAST_BELLS: Final = 16
#: The pause after Redis could not be reached.
PAUSE_S: Final = 0.5

EXPIRED: Final = Failure(
    type="lease-expired",
    title="The worker fell silent",
    detail="the worker did not renew its lease in time; its machine may have died or lost its connection",
)


class Keeper:
    """The duties, one turn at a time.

    Args:
        ledger: to look after.
        bells: Celery, to ring with.
        chores: to be done beside that.
        lease_s: how long leases last.
    """

    def __init__(self, ledger: Ledger, bells: Celery, chores: Chores, *, lease_s: float) -> None:
        self._ledger = ledger
        self._bells = bells
        self._chores = chores
        self._lease_ms = round(lease_s * 1000)
        self._is_checked = False

    def turn(self) -> None:
        """Do every duty once, or find Redis away and wait a little.

        Raises:
            LedgerUnusable: Redis is there and cannot hold a ledger, or holds another one.
        """
        try:
            if not self._is_checked:
                self._ledger.check()
                self._is_checked = True
            self._expire()
            self._ring()
            self._chores.start_due()
            self._ledger.wait_for_submit(LOOK_EVERY_S)
        except LedgerUnavailable as error:
            log.warning("ledger away: %s", error)
            self._is_checked = False
            time.sleep(PAUSE_S)

    def _ring(self) -> None:
        for backlog in self._ledger.run(reads.backlog()):
            wanted = min(backlog.waiting, max(LEAST_BELLS, BELLS_PER_SLOT * backlog.slots))
            ring(self._bells, backlog.device_class, max(0, wanted - backlog.bells))

    def _expire(self) -> None:
        for ended in self._ledger.run(runs.expire(failure=EXPIRED, lease_ms=self._lease_ms)):
            with about(**runs.names_of(ended)):
                log.warning("lease expired: job %s is %s", ended.job_id, ended.status)


def main() -> int:
    """Run until SIGTERM or SIGINT; gives the exit code."""
    settings = KeeperSettings.of_process()
    configure(settings, process="keeper")
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with Ledger(settings.redis_url, Keys(settings.redis_prefix)) as ledger:
        chores = Chores(ledger, settings)
        keeper = Keeper(ledger, bell_app(settings), chores, lease_s=settings.lease_s)
        log.info("keeper started")
        try:
            while not stopping:
                keeper.turn()
        except LedgerUnusable as error:
            log.error("ledger unusable: %s", error)
            return 2
        finally:
            chores.stop()
    log.info("keeper stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
