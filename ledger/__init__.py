"""The ledger: the truth about every job, in Redis. State changes happen here and nowhere else."""

from ledger import access, chores, deliveries, measures, presence, reads, rebuilding, runs, transitions
from ledger.calls import Call
from ledger.connection import AsyncLedger, Ledger
from ledger.errors import (
    CheckpointMissing,
    DeletionRefused,
    Displaced,
    EventRefused,
    IdempotencyKeyReused,
    JobGone,
    JobNotFound,
    KeyNotFound,
    LeaseLost,
    LedgerError,
    LedgerUnavailable,
    LedgerUnusable,
    NotEnrolled,
    OtherStore,
    QuotaReached,
    WeightsMissing,
    WorkerNotFound,
)
from ledger.finding import Wanted
from ledger.keys import Keys
from ledger.machines import Machine, Slot
from ledger.presence import Presence
from ledger.runs import Checkpoint, Failure, Lease, SpecUnreadable
from ledger.settings import AccessSettings, LedgerSettings
from ledger.transitions import Idempotency

__all__ = [
    "AccessSettings",
    "AsyncLedger",
    "Call",
    "Checkpoint",
    "CheckpointMissing",
    "DeletionRefused",
    "Displaced",
    "EventRefused",
    "Failure",
    "Idempotency",
    "IdempotencyKeyReused",
    "JobGone",
    "JobNotFound",
    "KeyNotFound",
    "Keys",
    "Lease",
    "LeaseLost",
    "Ledger",
    "LedgerError",
    "LedgerSettings",
    "LedgerUnavailable",
    "LedgerUnusable",
    "Machine",
    "NotEnrolled",
    "OtherStore",
    "Presence",
    "QuotaReached",
    "Slot",
    "SpecUnreadable",
    "Wanted",
    "WeightsMissing",
    "WorkerNotFound",
    "access",
    "chores",
    "deliveries",
    "measures",
    "presence",
    "reads",
    "rebuilding",
    "runs",
    "transitions",
]
