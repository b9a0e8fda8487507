"""The keeper sees that nothing is forgotten: `python -m worker.keeper`.

    rings    as many bells for each device class as jobs of it wait
    expires  leases that were not renewed, once Redis has been reachable for one full lease: a worker that could not
             reach it either is not to blame

Any number of keepers may run: bells are counted, and a run ends once. It keeps nothing in memory that matters.
"""

import logging
import signal
import sys
import time
from types import FrameType
from typing import Final

from celery import Celery

from ledger import Failure, Keys, Ledger, LedgerSettings, LedgerUnavailable, LedgerUnusable, reads, transitions
from worker.bells import bell_app, ring

log: Final = logging.getLogger(__name__)

#: How long the keeper waits for a job to be queued before it looks around all the same.
LOOK_EVERY_S: Final = 1
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
        lease_s: how long leases last.
    """

    def __init__(self, ledger: Ledger, bells: Celery, *, lease_s: float) -> None:
        self._ledger = ledger
        self._bells = bells
        self._lease_s = lease_s
        self._reachable_since: float | None = None

    def turn(self) -> None:
        """Do every duty once, or find Redis away and wait a little.

        Raises:
            LedgerUnusable: Redis is there and cannot hold a ledger, or holds another one.
        """
        try:
            if self._reachable_since is None:
                self._ledger.check()
            self._ring()
            self._expire()
            self._ledger.wait_for_submit(LOOK_EVERY_S)
        except LedgerUnavailable as error:
            log.warning("ledger away: %s", error)
            self._reachable_since = None
            time.sleep(PAUSE_S)

    def _ring(self) -> None:
        for backlog in self._ledger.run(reads.backlog()):
            ring(self._bells, backlog.device_class, max(0, backlog.waiting - backlog.bells))

    def _expire(self) -> None:
        now = time.monotonic()
        if self._reachable_since is None:
            self._reachable_since = now
        if now - self._reachable_since < self._lease_s:
            return
        for ended in self._ledger.run(transitions.expire(failure=EXPIRED)):
            log.warning("lease expired: job %s is %s", ended.job_id, ended.status)


def main() -> int:
    """Run until SIGTERM or SIGINT; gives the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    settings = LedgerSettings.of_process()
    with Ledger(settings.redis_url, Keys(settings.redis_prefix)) as ledger:
        keeper = Keeper(ledger, bell_app(settings), lease_s=settings.lease_s)
        log.info("keeper started")
        try:
            while not stopping:
                keeper.turn()
        except LedgerUnusable as error:
            log.error("ledger unusable: %s", error)
            return 2
    log.info("keeper stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
