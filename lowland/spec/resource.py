"""The job as the server shows it. Times are RFC 3339 UTC, durations seconds, accuracies fractions in [0, 1]."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from lowland.spec.base import ResourceModel
from lowland.spec.job import JobSpec
from lowland.spec.states import Outcome, Status, StopReason, Wish


class Objective(ResourceModel):
    """The number the job is about, whatever its task."""

    name: str
    """The series it is taken from, such as "validation_accuracy"."""
    value: float | None
    """The latest value; at the end that of the selected weights."""
    best: float | None
    """The best value so far."""
    direction: Literal["maximize", "minimize"]
    """Which way is better."""


class Progress(ResourceModel):
    """How far an attempt has come."""

    epoch: int
    """The epoch under way, from 1."""
    epochs: int
    """Epochs in all."""
    step: int
    """Optimizer steps taken."""
    steps: int
    """Optimizer steps in all."""
    fraction: float
    """Steps taken over steps in all, in [0, 1]."""
    eta_s: float | None
    """Seconds left at the present speed; null before that is known, and while the job does not run."""
    samples_per_s: float | None
    """Training samples per second; null before that is known."""


class QueuePlace(ResourceModel):
    """Why a queued job is not running yet."""

    position: int
    """Place in the queue, from 1; at least so far back where jobs that need thousands of different things wait."""
    reason: str
    """What it waits for."""


class JobError(ResourceModel):
    """Why the job, or its latest attempt, failed."""

    type: str
    """What kind of failure, a stable word such as "dataset-unavailable"."""
    title: str
    """The kind in words."""
    detail: str
    """What happened, and what to do about it where that is known."""
    at: datetime
    """When it was recorded."""


class Attempt(ResourceModel):
    """One run of an engine for the job. Runs that ended by request share their attempt's number with the next one."""

    attempt: int
    """Its number, from 1."""
    run: int
    """Which of the job's runs it is, from 1."""
    worker: str
    """Who ran it."""
    device: str
    """On what, such as "cuda:0" or "cpu:0"; a data-parallel job's with commas."""
    device_model: str
    """What kind of device, such as "NVIDIA H100 80GB HBM3"."""
    started_at: datetime
    """When it was claimed."""
    ended_at: datetime | None
    """When it ended; null while it runs."""
    outcome: Outcome | None
    """How it ended: paused or cancelled by request, put back by a worker that shut down, lost with its engine or
    worker; null while it runs."""
    detail: str | None
    """What is known about a bad end."""


class Artifact(ResourceModel):
    """A file the job has made."""

    name: str
    size_bytes: int
    sha256: str
    media_type: str
    href: str
    """Where to GET it."""


class ArtifactList(ResourceModel):
    """The files a job has made."""

    artifacts: list[Artifact]
    """By name."""


class Notice(ResourceModel):
    """Something that happened to a run which went on."""

    type: str
    """A stable word, such as "checkpoint-damaged"."""
    detail: str


class Links(ResourceModel):
    """Where to go from here."""

    self: str
    pause: str
    resume: str
    retry: str
    cancel: str


class Job(ResourceModel):
    """A training job and everything known about it."""

    id: str
    """Sorts by time of creation."""
    status: Status
    """Where the job stands."""
    terminal: bool
    """Whether nothing will happen to it any more."""
    requested: Wish | None
    """What was asked of a running job and is on its way."""
    spec: JobSpec
    """What is trained, with every default filled in; post it again to run it again."""
    created_at: datetime
    started_at: datetime | None
    """When the first attempt started."""
    finished_at: datetime | None
    attempt: int
    """The attempt under way, or the last one; 0 before the first. One is spent when an engine was started and has not
    stopped by request."""
    queue: QueuePlace | None
    """Only while queued."""
    objective: Objective | None
    """Null until the first epoch ends."""
    progress: Progress | None
    """Null until the first step."""
    accuracy: float | None = Field(ge=0, le=1)
    """On the validation part: the latest, at the end that of the selected weights. Null outside classification, and
    with `validation_fraction` 0."""
    best_accuracy: float | None = Field(ge=0, le=1)
    """The best on the validation part so far."""
    test_accuracy: float | None = Field(ge=0, le=1)
    """On the test set, measured once, at the end, of the selected weights."""
    metrics: dict[str, float]
    """The latest value of each series."""
    stop_reason: StopReason | None
    """Which rule of `stop` ended a job that succeeded before its last epoch."""
    notices: list[Notice]
    """What happened on the way that its owner should know of."""
    error: JobError | None
    """Why the job failed, or why its latest run was lost or could not begin; null once a run ended otherwise, or the
    job was paused, cancelled or retried. `attempts` keeps the reason."""
    worker: str | None
    """Who runs it, or ran it last."""
    device: str | None
    """On what it runs, or ran last."""
    attempts: list[Attempt]
    """Its runs, the last 100 of them."""
    artifacts: list[Artifact]
    """The files it has made."""
    links: Links


class StoredCheckpoint(ResourceModel):
    """A state of the training that the job can go on from."""

    name: str
    step: int
    """Optimizer steps taken by then."""
    size_bytes: int
    sha256: str
    token: int
    """The run that wrote it, from 1; each claim is one."""
    attempt: int | None
    """The attempt that this run was; null where the history no longer tells."""


class CheckpointList(ResourceModel):
    """What a job can go on from."""

    checkpoints: list[StoredCheckpoint]
    """The latest first; where that is damaged, the next counts."""


DeliveryState = Literal["pending", "delivered", "given_up"]
"""How it stands with a message: it is tried again, somebody has answered 2xx, or nobody tries any more."""


class Delivery(ResourceModel):
    """A message to a job's webhook, and how it went."""

    id: str
    """The `webhook-id` it is sent under, each time."""
    event: Literal["started", "finished"]
    """What it tells."""
    status: Status
    """The job's, when it happened."""
    created_at: datetime
    """When it happened."""
    state: DeliveryState
    """Pending: it is being sent, or waits for that. Given up: nobody sends it any more."""
    attempts: int
    """How often it was sent; an attempt that a keeper died over is not counted."""
    last_attempt_at: datetime | None
    """When the last attempt had ended."""
    response_status: int | None
    """What the last attempt was answered with; null where no answer came."""
    error: str | None
    """Why the last attempt that failed did so, up to 200 characters."""
    next_attempt_at: datetime | None
    """While it is pending; a moment that is past where it is being sent."""
    delivered_at: datetime | None
    """When somebody had answered 2xx."""


class DeliveryList(ResourceModel):
    """What a job's webhook was told, and is to be told."""

    url: str | None
    """Where to; null of a job without a webhook."""
    events: list[Literal["started", "finished"]]
    """What is told."""
    disabled_at: datetime | None
    """When the receiver said that it is gone (410): from then on it is told nothing."""
    disabled_reason: str | None
    """What was seen then."""
    deliveries: list[Delivery]
    """The latest first, 32 at most."""


class Cancelled(ResourceModel):
    """What was done to the jobs that fit."""

    cancelled: int
    """Jobs that waited, or were paused, and are cancelled."""
    requested: int
    """Running jobs that were asked to stop."""
    next: str | None
    """Not all were reached: ask again with it as `cursor`; null where nothing is left to do."""


class Advice(ResourceModel):
    """A value that is allowed, and rarely meant."""

    field: str
    """Path to the field, with dots: `sam.rho`."""
    value: object
    """What stands there."""
    detail: str
    """What is unusual about it, and what is usual."""


class Cost(ResourceModel):
    """What a job is likely to take. Memory is of each process, by arithmetic, without the runtime itself."""

    seconds: float | None
    """From its start to its end; null where no finished job tells."""
    seconds_from: str
    """What the seconds are taken from, or why there are none."""
    parameters: int | None
    """Trainable numbers in the model; these and the bytes are null where they are known only by reading or building."""
    model_bytes: int | None
    """Weights, gradients, and copies of them."""
    data_bytes: int | None
    """The dataset."""
    optimizer_bytes: int | None
    """The base optimizer's state and the variant's copies."""
    activation_bytes: int | None
    """One batch, forward and backward."""
    total_bytes: int | None
    """All of them."""


class DryRun(ResourceModel):
    """What would become of a job, of which nothing was stored."""

    spec: JobSpec
    """With every default filled in."""
    warnings: list[Advice]
    """What is unusual about it."""
    estimate: Cost
    """What it is likely to take."""
    queue: QueuePlace
    """Its place in the queue, if it were submitted now."""


class JobPage(ResourceModel):
    """Some jobs, newest first."""

    jobs: list[Job]
    """Of a search that combines filters perhaps fewer than asked for, or none, where most jobs do not fit."""
    next: str | None
    """Give it as `cursor` for the next page; null on the last."""


class SeriesPoint(ResourceModel):
    """What was measured at one moment of the training."""

    id: str
    """Sorts by time; give the last one as `since` for what came after."""
    token: int
    """Of the run that reported it: counts the runs of the job's engine."""
    at: datetime
    """When it was recorded."""
    step: int
    """Optimizer steps taken."""
    epoch: int | None
    """Epochs ended; null where a job has none."""
    values: dict[str, float]
    """Each series by its name."""


class Series(ResourceModel):
    """What was measured in the course of a job."""

    names: list[str]
    """Of the series that are in it."""
    points: list[SeriesPoint]
    """In order."""
    last: str | None
    """The id of the last point, whether or not it was left out; where there is none what `since` was, or null."""


class Device(ResourceModel):
    """A device of a worker, or a part of one, that trains one job at a time."""

    name: str
    """Such as "cuda:0" or "cpu:0"; parts of one GPU are "cuda:0.0", "cuda:0.1"."""
    model: str
    """What kind of device."""
    memory_gb: float
    """Its own memory, in GB (10^9 bytes), of a part its share; 0 of a CPU."""
    job: str | None
    """The job it trains; null where it is free."""
    since: datetime | None
    """When that job's run was claimed, its attempt's `started_at`; null where it is free, or the run is forgotten."""


class Worker(ResourceModel):
    """A machine that trains jobs."""

    id: str
    """Its name, unique among all machines."""
    alive: bool
    """Whether it was heard in the last seconds."""
    draining: bool
    """Whether it takes no more jobs, and stops."""
    since: datetime
    """When it started."""
    heard_at: datetime
    """When it was last heard."""
    labels: list[str]
    """What jobs may ask for."""
    devices: list[Device]
    """What it has."""
    free: int
    """Devices that train nothing."""


class WorkerList(ResourceModel):
    """Every worker that has not left."""

    workers: list[Worker]


class Readiness(ResourceModel):
    """The server can take jobs."""

    version: str
    """Of the server."""
    redis: Literal[True] = True
    """Redis answers."""
    workers: int
    """Live workers; without any, jobs are taken and wait."""
    queued: int
    """Jobs waiting."""
    running: int
    """Jobs being trained."""
