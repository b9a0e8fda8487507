"""The chores of finished jobs: each is done by one keeper at a time, and again until it has succeeded.

archive   writes the job's record to the artifact store, then packs the job
retire    deletes a job that has been kept long enough: what the ledger has of it, then its files
webhook   tells the job's owner what has happened
"""

import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from ledger import JobNotFound, Ledger, LedgerUnavailable, OtherStore, chores, presence, reads
from ledger.chores import Chore, Kind, Sent, Told
from ledger.logs import about
from ledger.packing import RECORD_FILE, read_record, write_record
from ledger.store import job_folder, read_store_id
from lowland.spec import Status
from worker.settings import KeeperSettings
from worker.webhooks import SCHEDULE_S, NotDelivered, message, send

log: Final = logging.getLogger(__name__)

#: How long a chore is in the hands of whoever took it; longer than any takes.
KEPT_MS: Final = 300_000
#: Chores done at once; webhooks among them, whose receivers may be slow; webhooks of one owner.
HANDS: Final = 8
WEBHOOK_HANDS: Final = 6
OWNER_HANDS: Final = 2
#: Pauses after failures that are not the receiver's.
_FIRST_PAUSE_MS: Final = 1_000
_LONGEST_PAUSE_MS: Final = 300_000


class Chores:
    """Does what is due, beside the keeper's other duties.

    Args:
        ledger: safe to use from several threads.
        settings: of the keeper.
    """

    def __init__(self, ledger: Ledger, settings: KeeperSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="chore")
        self._busy: dict[Future[None], Chore] = {}
        self._ways: Mapping[Kind, Callable[[Chore], Sent | None]] = {
            "archive": self._archive,
            "webhook": self._webhook,
            "retire": self._retire,
        }

    def start_due(self) -> None:
        """Take up what is due, as far as hands are free.

        Raises:
            LedgerUnavailable: Redis is away.
        """
        if (kept_days := self._settings.retention_days) is not None:
            self._ledger.run(chores.mark_outdated(kept_ms=round(kept_days * 86_400_000)))
        self._busy = {future: chore for future, chore in self._busy.items() if not future.done()}
        self._start("archive", HANDS)
        self._start("webhook", WEBHOOK_HANDS, per_owner=OWNER_HANDS)
        self._start("retire", HANDS)

    def _start(self, kind: Kind, hands: int, *, per_owner: int | None = None) -> None:
        """Take up what is due of a kind, which may have so many hands."""
        owners = [chore.owner for chore in self._busy.values() if chore.kind == kind]
        free = min(HANDS - len(self._busy), hands - len(owners))
        if free > 0:
            taker = uuid.uuid4().hex
            due = chores.take(kind, taker, most=free, kept_ms=KEPT_MS, per_owner=per_owner, owners=owners)
            for chore in self._ledger.run(due):
                self._busy[self._hands.submit(self._do, chore)] = chore

    def stop(self) -> None:
        """Leave what has not been begun; what has been is seen through."""
        self._hands.shutdown(wait=True, cancel_futures=True)

    def _do(self, chore: Chore) -> None:
        names = {"chore": chore.kind, "job_id": chore.job_id}
        with about(**names, **({"request_id": chore.request_id} if chore.request_id else {})):
            self._try(chore)

    def _try(self, chore: Chore) -> None:
        try:
            sent = self._ways[chore.kind](chore)
        except JobNotFound:
            self._tick_off(chore)  # it was deleted meanwhile
        except NotDelivered as error:
            self._not_delivered(chore, error)
        except (OSError, OtherStore, LedgerUnavailable, ValueError) as error:
            pause_ms = min(_FIRST_PAUSE_MS * 2**chore.failures, _LONGEST_PAUSE_MS)
            log.warning("chore failed: %s %s, again in %g s: %s", chore.kind, chore.member, pause_ms / 1000, error)
            self._put_off(chore, pause_ms)
        except Exception:
            log.exception("chore failed: %s %s", chore.kind, chore.member)
            self._put_off(chore, _LONGEST_PAUSE_MS)
        else:
            self._tick_off(chore, sent=sent)

    def _archive(self, chore: Chore) -> None:
        job_id, root = chore.member, self._checked_store()
        record = self._ledger.run(chores.read_record(job_id))
        if "finished_ms" not in record.fields or "packed" in record.fields:
            return  # it runs again, or this was done and only the reply got lost
        whole = record.after(read_record(root, job_id))
        write_record(root, whole)
        if not self._ledger.run(chores.pack_job(whole)):
            self._clear_after_forgotten(job_id)

    def _retire(self, chore: Chore) -> None:
        self._checked_store()
        if not self._ledger.run(chores.forget(chore.member)):
            return  # it runs again
        self._delete_files(chore.member)
        log.info("job retired: %s", chore.member)

    def _clear_after_forgotten(self, job_id: str) -> None:
        """A record that was written while its job was retired would bring the job back at the next rebuild.

        Only the record goes: a ledger that was lost at this very moment forgets too, and the weights must outlive it.
        """
        try:
            self._ledger.run(reads.get_job(job_id))
        except JobNotFound:
            folder = job_folder(self._settings.artifact_dir, job_id)
            (folder / RECORD_FILE).unlink(missing_ok=True)
            with suppress(OSError):  # it holds more than the record
                folder.rmdir()

    def _delete_files(self, job_id: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(job_folder(self._settings.artifact_dir, job_id))

    def _checked_store(self) -> Path:
        """The artifact store, if the folder is that: what goes to another one, the ledger forgets for nothing.

        Raises:
            OSError: it is not there.
            OtherStore: it is another one.
        """
        root = self._settings.artifact_dir
        self._ledger.run(presence.adopt(read_store_id(root)))
        return root

    def _webhook(self, chore: Chore) -> Sent | None:
        event = Told.read(chore.member)
        job = self._ledger.run(reads.get_job(event.job_id))
        webhook = job.spec.webhook
        if webhook is None:
            return None
        if event.name == "finished":  # it may run again by now; the message is of its end
            then = {"status": Status(event.status), "terminal": True, "finished_at": event.at, "queue": None}
            job = job.model_copy(update=then)
        answered = send(
            webhook.url,
            event.message_id,
            message(f"job.{event.name}", event.at, job.model_dump(mode="json")),
            secret=self._ledger.run(reads.get_webhook_secret(event.job_id)),
            private_allowed=self._settings.webhook_private,
        )
        return Sent(answered=answered)

    def _not_delivered(self, chore: Chore, error: NotDelivered) -> None:
        sent = Sent(answered=error.answered, error=str(error), is_gone=error.is_gone)
        if error.is_gone or chore.attempts >= len(SCHEDULE_S):
            log.warning("webhook given up: %s: %s", chore.member, error)
            self._tick_off(chore, "given_up", sent=sent)
        else:
            pause_s = SCHEDULE_S[chore.attempts]
            log.warning("webhook not delivered: %s, again in %d s: %s", chore.member, pause_s, error)
            self._put_off(chore, pause_s * 1000, sent=sent)

    def _tick_off(
        self, chore: Chore, result: Literal["done", "given_up"] = "done", *, sent: Sent | None = None
    ) -> None:
        # where the ledger is away the chore is due again by itself
        with suppress(LedgerUnavailable):
            self._ledger.run(chores.tick_off(chore, result, sent=sent))

    def _put_off(self, chore: Chore, again_ms: int, *, sent: Sent | None = None) -> None:
        with suppress(LedgerUnavailable):
            self._ledger.run(chores.put_off(chore, again_ms=again_ms, sent=sent))
