"""Where everything lies in Redis: the one drawing of the key layout, for Python and, rendered, for Lua.

Every key starts with the prefix `{lowland}:` (the braces keep a job's keys in one slot of a cluster).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.errors import LedgerUnusable

LAYOUT: Final[Mapping[str, str]] = {
    # the truth about one job
    "job": "job:%s",  # hash    everything GET /jobs/{id} shows; see documents.py
    "packed": "job:%s:packed",  # string  most of it, once it is finished and in the artifact store; see packing.py
    "recent": "job:%s:recent",  # string  its latest events and points, for an hour after it was packed; see packing.py
    "metrics": "job:%s:metrics",  # stream  one entry per epoch, id = token-sequence
    "events": "job:%s:events",  # stream  what happened to it
    "deliveries": "job:%s:deliveries",  # hash    of one with a webhook: message -> how it stands; see deliveries.py
    "idempotency": "idempotency:%s:%s",  # string  owner, key -> "job fingerprint" of the POST that came under it
    "changes": "changes",  # channel  the id of a job each time that it has changed
    "unfinished": "unfinished:%s",  # set     of an owner: the jobs that are queued, running or paused
    # indexes: ids sort by time
    "jobs": "jobs",  # zset    every job, by id
    "jobs_by_status": "jobs:%s",  # zset    jobs in one state, by id
    "jobs_by": "jobs_by:%s:%s",  # zset    jobs by owner, dataset, variant or tag ("team", "team:vision"), by id
    "finished": "finished",  # zset    finished jobs, by when that was, ms
    # waiting
    "queues": "queues",  # set     "class:world_size:memory:labels:version:owner" of every queue that is not empty
    "queue": "queue:%s",  # zset    job ids, by priority, then age
    "needs": "needs",  # set     "class:world_size:memory:labels:version:" of all jobs that are queued
    "needing": "needing:%s",  # zset    ids of queued jobs of all owners that need the same, by priority, then age
    "running": "running",  # hash    owner -> running jobs
    "wake": "wake",  # list    the keeper blocks on it
    # running
    "leases": "leases",  # zset    job id by expiry, ms
    "claim": "claim:%s",  # hash    what a claim gave, for its repetition
    "request": "request:%s",  # string  a call that was executed, for its repetition
    "workers": "workers",  # zset    worker name by last heartbeat, ms
    "worker": "worker:%s",  # hash    what a worker says of itself; see machines.py
    "slots": "slots:%s",  # hash    slot -> "job token runner", the slots of a worker in use
    # the keeper's duties
    "attended": "attended",  # hash    since_ms, seen_ms: when keepers looked at the leases
    "chores": "chores:%s",  # zset    of one kind: member by when it is due, ms
    "taken": "taken:%s:%s",  # string  kind, member -> who is at it
    "failures": "failures:%s",  # hash    of one kind: member -> how often it has failed
    # what is measured
    "counters": "counters",  # hash    what has happened -> how often; see measures.py
    # who may come in, and did
    "api_key": "api_key:%s",  # hash    the key's digest -> whose it is and what it is good for; see access.py
    "api_keys": "api_keys",  # hash    key id -> digest
    "guarded": "guarded",  # string  set by the first key, and kept without any: nobody comes in without one
    "session": "session:%s",  # hash    the session's digest -> digest of the key it was opened with, until when
    "audit": "audit",  # stream  who did what
    "rates": "rates",  # prefix  of what the library `limits` counts of each key's requests; see api/limiting.py
    # the ledger itself
    "schema": "schema",  # string  version of this layout
    "store": "store",  # string  id of the artifact store that belongs to it
}

#: Raised with every change of the layout that an older server could not read.
SCHEMA: Final = "5"


def check_schema(found: str) -> None:
    """Raise LedgerUnusable unless it is ours."""
    if found != SCHEMA:
        raise LedgerUnusable(
            f"the ledger has layout {found}; this version of Lowland reads layout {SCHEMA}: give it another Redis "
            "database, prefix or data folder, or start the version that wrote this one"
        )


#: Device classes: which machines may claim a job.
DEVICE_CLASSES: Final = ("any", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Keys:
    """The layout under one prefix."""

    prefix: str = "{lowland}:"

    def key(self, name: str, *parts: str) -> str:
        """The key called `name` in the layout, with its blanks filled in."""
        return self.prefix + LAYOUT[name] % parts


def bell_queue(device_class: str) -> str:
    """The name of the Celery queue of a device class, without the prefix."""
    return f"bells.{device_class}"
