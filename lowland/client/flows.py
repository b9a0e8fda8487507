"""What takes several calls, written once: generators that say what to do next, and a client, blocking or not, does it.

A flow yields a `Call`, and gets what it reads, or the error that it raised; or a `Pause`, and gets nothing once it is
over. What it returns is the result.
"""

import random
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from lowland.client import calls
from lowland.client.calls import Call, JobFilters
from lowland.errors import ArtifactNotFound, JobNotFound, LimitReached, LowlandError, ServerUnavailable, WaitTimedOut
from lowland.spec import JobSpec
from lowland.spec.resource import Artifact, Cancelled, Job, JobPage

T = TypeVar("T")

#: Jobs asked for at a time while iterating.
PAGE_SIZE: Final = 100
#: The first pause before asking again, and the longest, in seconds; each is twice the one before.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 4.0
#: How long one request waits for a change at most, in seconds: proxies cut at 60, or at 30.
LONGEST_WAIT_S: Final = 25
#: The time between two looks at a job that changes all the time, in seconds: at first, and how much longer each time up
#: to which; less where somebody looks on.
SHORTEST_LOOK_S: Final = 0.1
LOOKS_GROW: Final = 1.5
LONGEST_LOOK_S: Final = 2.0
LONGEST_LOOK_ON_S: Final = 1.0
#: And where nobody waits for a change: a proxy has answered.
LOOK_S: Final = 0.5


#: How much longer than the time that is left an answer may take, in seconds: it is on its way.
GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


Step = Call[Any] | Pause
Flow = Generator[Step, Any, T]


class Tries:
    """How long to go on after failures that may pass: the server is away, or says to ask later.

    Args:
        within_s: counted from the first failure, or from the first after `succeeded`.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self.failed = 0
        """Failures in a row."""
        self._deadline = 0.0

    def succeeded(self) -> None:
        """What fails next is a failure of its own."""
        self.failed = 0

    def pause_after(self, error: ServerUnavailable | LimitReached) -> Pause:
        """How long to wait before trying again: ever longer, and at least as long as the server says.

        Raises:
            ServerUnavailable, LimitReached: the error itself, when the time is over, or would be by then.
        """
        if not self.failed:
            self._deadline = time.monotonic() + self._within_s
        longest_s = min(FIRST_PAUSE_S * 2 ** min(self.failed, 10), LONGEST_PAUSE_S)
        # not all clients of a server that is back at the same moment
        pause_s = max(longest_s * random.uniform(0.5, 1), error.retry_after_s or 0)
        if time.monotonic() + pause_s >= self._deadline:
            raise error
        self.failed += 1
        return Pause(pause_s)


def sent(call: Call[T], within_s: float) -> Flow[T]:
    """A call, sent again as long as that may help and does no harm."""
    tries = Tries(within_s)
    while True:
        try:
            return (yield call)
        except ServerUnavailable as error:
            if not call.repeatable:
                raise
            yield tries.pause_after(error)
        except LimitReached as error:  # nothing was done
            yield tries.pause_after(error)


def submitted(spec: Mapping[str, object] | JobSpec, idempotency_key: str | None, within_s: float) -> Flow[Job]:
    """A job, queued once however often the request had to be sent; the key stands on the error."""
    key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
    try:
        return (yield from sent(calls.submit(spec, key), within_s))
    except LowlandError as error:
        error.idempotency_key = str(key)
        raise


def waited(
    job: Job | str, *, timeout_s: float | None, on_update: Callable[[Job], None] | None, within_s: float
) -> Flow[Job]:
    """A job, once nothing will happen to it any more."""
    started = time.monotonic()

    def left_s() -> float:
        return float("inf") if timeout_s is None else started + timeout_s - time.monotonic()

    def asked(call: Call[T]) -> Flow[T]:
        while True:
            bounded = replace(call, longest_s=max(left_s(), 0) + GRACE_S)
            try:
                return (yield from sent(bounded, min(within_s, left_s())))
            except LimitReached as error:  # who waits for hours can wait for this
                if error.retry_after_s is None or error.retry_after_s >= left_s():
                    raise
                yield Pause(error.retry_after_s)

    between_s = SHORTEST_LOOK_S
    longest_s = LONGEST_LOOK_S if on_update is None else LONGEST_LOOK_ON_S
    seen, version = yield from asked(calls.get_version(job))
    while True:
        if on_update is not None:
            on_update(seen)
        if seen.terminal:
            return seen
        news = None
        while news is None:
            if left_s() <= 0:
                raise WaitTimedOut(seen.id, seen.status, timeout_s or 0)
            asked_at, deadline_s = time.monotonic(), left_s()
            wait_s = int(min(deadline_s, LONGEST_WAIT_S))
            try:
                news = yield from asked(calls.await_change(job, version, wait_s=wait_s))
            except ServerUnavailable as error:
                if within_s < deadline_s:
                    raise
                yield Pause(max(left_s(), 0))
                raise WaitTimedOut(seen.id, seen.status, timeout_s or 0) from error
            if news and news[0] == seen:  # something on the way has taken the version out of the answers
                news = None
            pause_s = min(between_s if news else LOOK_S, left_s()) - (time.monotonic() - asked_at)
            between_s = min(between_s * LOOKS_GROW, longest_s)
            if pause_s > 0 and not (news and news[0].terminal):
                yield Pause(pause_s)
        seen, version = news


def deleted(job: Job | str, within_s: float) -> Flow[None]:
    """A job is gone."""
    tries, may_be_done = Tries(within_s), False
    while True:
        try:
            yield calls.delete(job)
            return
        except JobNotFound:
            if not may_be_done:
                raise
            return  # an earlier one has deleted it, and its answer got lost
        except (ServerUnavailable, LimitReached) as error:
            may_be_done = may_be_done or isinstance(error, ServerUnavailable)
            yield tries.pause_after(error)


def all_cancelled(filters: JobFilters, everything: bool, within_s: float) -> Flow[Cancelled]:
    """Every job that fits and has not ended is cancelled, or asked to stop.

    Raises:
        ValueError: neither a filter nor `everything` is given, or both.
    """
    if everything == any(value is not None and value != () for value in filters.values()):
        raise ValueError("give filters, or everything=True alone to cancel every job")
    cancelled, requested, cursor = 0, 0, None
    while True:
        done = yield from sent(calls.cancel_all(filters, everything=everything, cursor=cursor), within_s)
        cancelled, requested, cursor = cancelled + done.cancelled, requested + done.requested, done.next
        if cursor is None:
            return Cancelled(cancelled=cancelled, requested=requested, next=None)


class Pages:
    """The way through a list, page by page.

    Args:
        limit: stop after so many jobs; None goes through all.
    """

    def __init__(self, filters: JobFilters, *, limit: int | None) -> None:
        self._filters = filters
        self._left = limit
        self._cursor: str | None = None
        self.more: bool = limit is None or limit > 0
        """Whether there may be another page."""

    def next(self, within_s: float) -> Flow[JobPage]:
        """The next page."""
        size = PAGE_SIZE if self._left is None else min(PAGE_SIZE, self._left)
        page = yield from sent(calls.page(self._filters, limit=size, cursor=self._cursor), within_s)
        self._cursor = page.next
        self._left = None if self._left is None else self._left - len(page.jobs)
        self.more = page.next is not None and (self._left is None or self._left > 0)
        return page


def found(job: Job | str, name: str, within_s: float) -> Flow[Artifact]:
    """What a job says of a file that it has made.

    Raises:
        ArtifactNotFound: it has none of this name.
    """
    seen = yield from sent(calls.get(job), within_s)
    artifacts = {artifact.name: artifact for artifact in seen.artifacts}
    if not _is_a_file_name(name) or name not in artifacts:
        detail = f"job {seen.id} has no artifact {name}; it has {', '.join(artifacts) or 'none yet'}"
        raise ArtifactNotFound(status=404, slug="artifact-not-found", detail=detail)
    return artifacts[name]


def _is_a_file_name(name: str) -> bool:
    """Whether it names a file in a folder, wherever that is, and nothing outside of it."""
    return name not in {"", ".", ".."} and not set(name) & set("/\\:\0")


def log_ended(job: Job | str, *, url: str, within_s: float) -> Flow[None]:
    """A job whose log has ended has ended too.

    Raises:
        ServerUnavailable: it has not; the server has ended the log for another reason.
    """
    seen = yield from sent(calls.get(job), within_s)
    if not seen.terminal:
        raise ServerUnavailable(url, f"the log ended while job {seen.id} is {seen.status}")
