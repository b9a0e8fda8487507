"""What GET /metrics shows: one table of all there is, and how it is gathered.

    ledger ── one script, at most once a second ──► Scrape ──► LEDGER_METRICS ──► text
    each request ── Observed ──► HttpMetrics, in this process ───────────────────► text

What runners and keepers do is counted in the ledger (ledger/measures.py): any API process shows all of it. Only HTTP is
counted here, by each process for itself.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger import AsyncLedger, LedgerUnavailable
from ledger.measures import WAIT_BOUNDS_MS, Measures, measures

#: Of the text form that every Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Scrapes within so long of each other get the same look at the ledger.
FRESH_S: Final = 1.0
#: Bounds of the times that answers take, in seconds.
_HTTP_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Values of the labels, and the value.
Sample = tuple[Sequence[str], float]


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric, as documentation and Prometheus know it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class OfLedger(Shown):
    """A metric that is read off the ledger."""

    samples: Callable[[Measures], Iterable[Sample]]


UP: Final = Shown("lowland_ledger_up", "gauge", (), "1 where Redis answers; where it is 0, all that follows is missing")
CLAIM_WAIT: Final = Shown(
    "lowland_claim_wait_seconds", "histogram", ("device_class",), "how long jobs waited until a worker claimed them"
)
REQUESTS: Final = Shown(
    "lowland_http_requests_total",
    "counter",
    ("method", "route", "status"),
    "requests that were answered; `route` is the path with its blanks, `none` where no route has it",
)
REQUEST_SECONDS: Final = Shown(
    "lowland_http_request_seconds", "histogram", ("method", "route"), "time until an answer began"
)

LEDGER_METRICS: Final = (
    OfLedger(
        "lowland_jobs",
        "gauge",
        ("status",),
        "jobs the ledger has, in each state",
        lambda seen: [([status], jobs) for status, jobs in seen.jobs.items()],
    ),
    OfLedger(
        "lowland_queue_depth",
        "gauge",
        ("device_class",),
        "jobs that wait, by the device class they ask for",
        lambda seen: [([each.name], each.waiting) for each in seen.classes],
    ),
    OfLedger(
        "lowland_queue_oldest_seconds",
        "gauge",
        ("device_class",),
        "how long the job has waited that has waited longest, of those that come next of their priority and owner",
        lambda seen: [([each.name], each.oldest_s) for each in seen.classes],
    ),
    OfLedger(
        "lowland_worker_up",
        "gauge",
        ("worker",),
        "1 where a worker was heard within 15 s, 0 where it fell silent and has not left",
        lambda seen: [([each.name], each.alive) for each in seen.workers],
    ),
    OfLedger(
        "lowland_worker_draining",
        "gauge",
        ("worker",),
        "1 where a worker was asked to stop",
        lambda seen: [([each.name], each.draining) for each in seen.workers if each.alive],
    ),
    OfLedger(
        "lowland_worker_slots_used",
        "gauge",
        ("worker",),
        "slots of a live worker that a run holds",
        lambda seen: [([each.name], each.used) for each in seen.workers if each.alive],
    ),
    OfLedger(
        "lowland_worker_slots_free",
        "gauge",
        ("worker",),
        "slots of a live worker that nobody holds",
        lambda seen: [([each.name], max(each.slots - each.used, 0)) for each in seen.workers if each.alive],
    ),
    OfLedger(
        "lowland_training_samples_per_second",
        "gauge",
        ("worker",),
        "the step rate: training samples that the running jobs of a live worker see each second, together",
        lambda seen: [([each.name], each.samples_per_s) for each in seen.workers if each.alive],
    ),
    OfLedger(
        "lowland_leases", "gauge", (), "leases that are held: jobs being trained", lambda seen: [([], seen.leases)]
    ),
    OfLedger(
        "lowland_lease_losses_total",
        "counter",
        ("how",),
        "leases that were taken away: `expired`, not renewed in time; `runner_gone`, its process died or broke off",
        lambda seen: _counted(seen, "lost", ["expired", "runner_gone"]),
    ),
    OfLedger(
        "lowland_runs_ended_total",
        "counter",
        ("outcome",),
        "runs that ended, by how, as a job's `attempts` say it; `lost` where engine, runner or worker died",
        lambda seen: _counted(seen, "ended", ["succeeded", "failed", "cancelled", "paused", "put_back", "lost"]),
    ),
    OfLedger(
        "lowland_jobs_finished_total",
        "counter",
        ("status",),
        "jobs that came to their end; one that is retried comes to another",
        lambda seen: _counted(seen, "finished", ["succeeded", "failed", "cancelled"]),
    ),
    OfLedger(
        "lowland_chores_waiting",
        "gauge",
        ("kind",),
        "chores of finished jobs that a keeper is at, or will be: `archive`, `webhook`, `retire`",
        lambda seen: [([kind], count) for kind, count in seen.chores.items()],
    ),
    OfLedger(
        "lowland_chores_total",
        "counter",
        ("kind", "result"),
        "tries at archiving and retiring: `done`, or `failed` and tried again later",
        lambda seen: [(labels, value) for labels, value in seen.counted("chore") if labels[0] != "webhook"],
    ),
    OfLedger(
        "lowland_webhooks_total",
        "counter",
        ("result",),
        "tries at telling an owner: `done`, `failed` and tried again later, or `given_up`, as are also messages that "
        "waited when a 410 came or their job was deleted",
        lambda seen: _counted(seen, "chore:webhook", ["done", "failed", "given_up"]),
    ),
)

#: All there is, in the order of the page.
METRICS: Final[Sequence[Shown]] = (UP, *LEDGER_METRICS, CLAIM_WAIT, REQUESTS, REQUEST_SECONDS)


def _counted(seen: Measures, kind: str, values: Sequence[str]) -> Iterator[Sample]:
    """A counter's samples; also of what has not happened yet, so that its first time is seen as a rise."""
    for value in values:
        yield [value], seen.counters.get(f"{kind}:{value}", 0)


class HttpMetrics:
    """What this process has answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(REQUESTS.name, REQUESTS.meaning, REQUESTS.labels, registry=registry)
        self._seconds = Histogram(
            REQUEST_SECONDS.name,
            REQUEST_SECONDS.meaning,
            REQUEST_SECONDS.labels,
            registry=registry,
            buckets=_HTTP_BOUNDS_S,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        if method not in _METHODS:  # anybody may make up any number of them
            method = "other"
        known = self._known.get((method, route, status))
        if known is None:
            known = self._requests.labels(method, route, status), self._seconds.labels(method, route)
            self._known[method, route, status] = known
        known[0].inc()
        known[1].observe(seconds)


class _Seen(Collector):
    """The latest look at the ledger, as Prometheus's families."""

    def __init__(self) -> None:
        self.measures: Measures | None = None

    def collect(self) -> Iterator[Metric]:
        yield _family(UP, [([], self.measures is not None)])
        if self.measures is not None:
            for metric in LEDGER_METRICS:
                yield _family(metric, metric.samples(self.measures))
            yield _claim_wait(self.measures)

    def describe(self) -> Iterable[Metric]:
        return []


class Metrics:
    """The metrics of one API process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seen = _Seen()
        self._registry.register(self._seen)
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()
        self.http: Final = HttpMetrics(self._registry)

    async def text(self, ledger: AsyncLedger | None) -> bytes:
        """All of them in Prometheus's text form. Redis is asked once a second, however many scrape.

        Args:
            ledger: to ask; None while it is known to be away.
        """
        async with self._looking:
            if ledger is None:
                self._seen.measures = None
            elif time.monotonic() >= self._fresh_until:
                try:
                    self._seen.measures = await ledger.run(measures())
                except LedgerUnavailable:
                    self._seen.measures = None
                self._fresh_until = time.monotonic() + FRESH_S
        return generate_latest(self._registry)


def _family(metric: Shown, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, float(value))
    return family


def _claim_wait(seen: Measures) -> Metric:
    family = HistogramMetricFamily(CLAIM_WAIT.name, CLAIM_WAIT.meaning, labels=CLAIM_WAIT.labels)
    bounds = [*(str(bound / 1000) for bound in WAIT_BOUNDS_MS), "+Inf"]
    for each in seen.classes:
        family.add_metric([each.name], list(zip(bounds, each.claims, strict=True)), each.waited_s)
    return family
