"""Records on their way to the ledger: kept in order while Redis is away, numbered, bounded.

A record's number makes sending it again harmless. What waits is put together where it can be: each call costs a disk's
time where the server writes before it answers, and of progress only the latest matters.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ledger import Lease, Ledger, LedgerUnavailable, runs
from lowland.spec.states import Wish
from worker.recording import Record

#: With so many records waiting, the engine's pipe is not read any further.
MAX_RECORDS: Final = 1000
#: A lease is renewed this often, or every third of it if that is sooner: with each renewal a wish is learned.
RENEW_EVERY_S: Final = 1.0
#: The pauses between attempts to reach Redis.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0


class Outbox:
    """Sends the records of one run, and renews its lease when there are none.

    Args:
        ledger: with a short time-out; it is called from a loop that must not stand still.
        lease: under which everything is written.
        lease_s: how long a lease lasts.
        recorded: called with each record once the ledger has it.
    """

    def __init__(
        self, ledger: Ledger, lease: Lease, *, lease_s: float, recorded: Callable[[Record], object] = lambda _: None
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._lease_ms = round(lease_s * 1000)
        self._recorded = recorded
        self._waiting: deque[tuple[int, Record]] = deque()
        self._sequence = 0
        self._pause_s = FIRST_PAUSE_S
        self._renew_every_s = min(RENEW_EVERY_S, lease_s / 3)
        self._renew_at = time.monotonic() + self._renew_every_s
        self._retry_at = 0.0
        self.wish: Wish | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more should be put in before some is sent."""
        return len(self._waiting) >= MAX_RECORDS

    @property
    def is_empty(self) -> bool:
        """Whether everything has been recorded."""
        return not self._waiting

    @property
    def due_in_s(self) -> float:
        """When `send` should be called next."""
        due_at = self._retry_at if self._waiting else max(self._renew_at, self._retry_at)
        return max(due_at - time.monotonic(), 0.0)

    def put(self, record: Record) -> None:
        """Take a record, and put it together with the last one that waits, if they can be one.

        It gets a number of its own all the same: the last may have been recorded already, and only its reply lost.
        """
        if self._waiting and (together := self._waiting[-1][1].followed_by(record)) is not None:
            self._waiting.pop()
            record = together
        self._sequence += 1
        self._waiting.append((self._sequence, record))

    def send(self) -> None:
        """Send what waits, if Redis can be reached and it is time; else renew the lease if that is due.

        Raises:
            LeaseLost: the job belongs to somebody else.
        """
        if time.monotonic() < self._retry_at:
            return
        try:
            while self._waiting:
                self._send_first()
            if time.monotonic() >= self._renew_at:
                self._extended(self._ledger.run(runs.renew(self._lease, lease_ms=self._lease_ms)))
        except LedgerUnavailable:
            self._retry_at = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _send_first(self) -> None:
        sequence, record = self._waiting[0]
        call = runs.report(
            self._lease,
            sequence,
            lease_ms=self._lease_ms,
            fields=record.fields,
            point=record.point,
            notice=record.notice,
        )
        self._extended(self._ledger.run(call))
        self._waiting.popleft()
        self._recorded(record)

    def _extended(self, wish: Wish | None) -> None:
        self.wish = wish
        self._pause_s = FIRST_PAUSE_S
        self._renew_at = time.monotonic() + self._renew_every_s
