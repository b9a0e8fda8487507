"""What is measured: by the scripts as they do things, in counters that all processes share, and what a look shows.

    counters (hash)    wait:{class}:{bound}     claims that came within so many ms in the queue, and not within less
                       wait_ms:{class}          what they waited together
                       ended:{outcome}          runs that ended
                       lost:{how}               leases lost: expired, or the runner is gone
                       finished:{status}        jobs that came to their end
                       chore:{kind}:{result}    chores that were done, have failed, or were given up

Runners and keepers come and go, on machines nobody scrapes: nothing is counted in their memory. A script counts where
it changes something, so that a call that is repeated is counted once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, cast

from pydantic import ValidationError

from ledger.calls import Answer, Call
from ledger.keys import DEVICE_CLASSES
from lowland.spec import Status
from lowland.spec.resource import Progress

#: Upper bounds of the times that jobs wait, in ms; whatever is longer falls under `inf`. Rendered into the scripts.
WAIT_BOUNDS_MS: Final = (
    *(50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(300_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000),
)
CHORE_KINDS: Final = ("archive", "webhook", "retire")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMeasures:
    """One device class."""

    name: str
    waiting: int
    oldest_s: float
    """How long the job has waited that has waited longest, of those that are next of their priority and owner."""
    claims: Sequence[int]
    """Claims that came within each of `WAIT_BOUNDS_MS`; then all."""
    waited_s: float
    """What those waited together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMeasures:
    """One worker that has not left."""

    name: str
    alive: bool
    draining: bool
    slots: int
    used: int
    samples_per_s: float
    """Of its running jobs together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Everything the ledger knows to be measured."""

    jobs: Mapping[str, int]
    """By state."""
    classes: Sequence[ClassMeasures]
    workers: Sequence[WorkerMeasures]
    leases: int
    chores: Mapping[str, int]
    """Waiting, by kind."""
    counters: Mapping[str, int]

    def counted(self, prefix: str) -> Iterator[tuple[list[str], int]]:
        """The counters of one kind: what follows the prefix in their names, and their values."""
        for name, value in sorted(self.counters.items()):
            kind, *labels = name.split(":")
            if kind == prefix:
                yield labels, value


def measures() -> Call[Measures]:
    """Look at everything that is measured."""
    return Call("measures", (",".join(Status), ",".join(CHORE_KINDS)), _read)


def _read(answer: Answer) -> Measures:
    now, states, queues, workers, running, chores, counted = answer[1:]
    counters = {name: int(value) for name, value in _rows(counted, 2)}
    waiting = {name: (int(jobs), queued_ms) for name, jobs, queued_ms in _rows(queues, 3)}
    speeds: dict[str, float] = {}
    for worker, progress in _rows(running, 2):
        speeds[worker] = speeds.get(worker, 0.0) + _samples_per_s(progress)
    return Measures(
        jobs={state: int(jobs) for state, jobs in _rows(states, 2)},
        classes=[_class(name, int(str(now)), *waiting.get(name, (0, "")), counters) for name in DEVICE_CLASSES],
        workers=[
            WorkerMeasures(
                name=name,
                alive=alive == "1",
                draining=draining == "1",
                slots=int(slots),
                used=int(used),
                samples_per_s=speeds.get(name, 0.0),
            )
            for name, alive, draining, slots, used in _rows(workers, 5)
        ],
        leases=len(cast("list[object]", running)) // 2,
        chores={kind: int(count) for kind, count in _rows(chores, 2)},
        counters=counters,
    )


def _class(name: str, now_ms: int, waiting: int, queued_ms: str, counters: Mapping[str, int]) -> ClassMeasures:
    within = [counters.get(f"wait:{name}:{bound}", 0) for bound in (*WAIT_BOUNDS_MS, "inf")]
    return ClassMeasures(
        name=name,
        waiting=waiting,
        oldest_s=max(now_ms - int(queued_ms), 0) / 1000 if queued_ms else 0.0,
        claims=list(accumulate(within)),
        waited_s=counters.get(f"wait_ms:{name}", 0) / 1000,
    )


def _samples_per_s(progress: str) -> float:
    try:
        return Progress.model_validate_json(progress).samples_per_s or 0.0 if progress else 0.0
    except ValidationError:  # another version's
        return 0.0


def _rows(flat: object, width: int) -> Iterator[tuple[str, ...]]:
    words = [str(word) for word in cast("list[object]", flat)]
    return (tuple(words[i : i + width]) for i in range(0, len(words), width))
