"""The ledger: the truth about every job, in Redis. State changes happen here and nowhere else."""

from ledger import reads, transitions
from ledger.calls import Call
from ledger.connection import AsyncLedger, Ledger
from ledger.errors import (
    Displaced,
    EventRefused,
    JobNotFound,
    LeaseLost,
    LedgerError,
    LedgerUnavailable,
    LedgerUnusable,
    NotEnrolled,
    WeightsMissing,
)
from ledger.keys import Keys
from ledger.settings import LedgerSettings
from ledger.transitions import Checkpoint, Failure, Lease, Presence

__all__ = [
    "AsyncLedger",
    "Call",
    "Checkpoint",
    "Displaced",
    "EventRefused",
    "Failure",
    "JobNotFound",
    "Keys",
    "Lease",
    "LeaseLost",
    "Ledger",
    "LedgerError",
    "LedgerSettings",
    "LedgerUnavailable",
    "LedgerUnusable",
    "NotEnrolled",
    "Presence",
    "WeightsMissing",
    "reads",
    "transitions",
]
