"""The blocking client."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

import httpx2

from lowland.client import calls, flows, weights
from lowland.client.calls import Call, JobFilters, LogSource
from lowland.client.connection import Connection, succeeded
from lowland.client.curves import Curves
from lowland.client.download import Incoming, placed
from lowland.client.flows import Flow, Pages, Pause, Step, Tries
from lowland.client.following import Following, JobEvent
from lowland.client.lines import Lines
from lowland.errors import LimitReached, LowlandError, ServerUnavailable
from lowland.spec import JobSpec
from lowland.spec.catalogue import DatasetEntry, FunctionEntry, ModelEntry, OptimizerEntry, ScheduleEntry, VariantEntry
from lowland.spec.resource import Cancelled, DeliveryList, DryRun, Job, Readiness, StoredCheckpoint, Worker

if TYPE_CHECKING:
    from lowland.networks import Trained

T = TypeVar("T")


class Client:
    """A connection to a Lowland server. Use it as a context manager, or close it.

        from lowland import Client

        with Client() as lowland:
            job = lowland.wait(lowland.submit({"dataset": "digits", "epochs": 5}))

    Jobs are given as they came, or by id. Every method raises `ServerUnavailable` where the server cannot be reached,
    `LimitReached` where it has had enough, `KeyRefused` or `NotAllowed` where it does not let us in, and
    `AnswerUnreadable` where something else answers; methods that name a job raise `JobNotFound` where there is none.

    Args:
        base_url: where the server is; None takes `LOWLAND_URL` of the environment, else http://127.0.0.1:8000. A proxy
            in the environment is used for other machines than this one.
        api_key: what to show it; None takes `LOWLAND_API_KEY` of the environment, if there is one.
        timeout_s: how long it may be silent, for connecting, sending and receiving each.
        retry_s: for how long to go on asking when the server cannot be reached or says to ask later, each time. Only
            `retry` is not sent again when an answer is lost: nobody knows whether the job was queued again.

    Raises:
        ValueError: the URL or the key cannot be used.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_s: float = 30.0,
    ) -> None:
        self._connection: Final = Connection.to(base_url, api_key=api_key, timeout_s=timeout_s)
        self.base_url: Final = self._connection.url
        self._retry_s: Final = retry_s
        self._http: Final = httpx2.Client(**self._connection.options())

    def submit(self, spec: Mapping[str, object] | JobSpec, *, idempotency_key: str | None = None) -> Job:
        """Queue a job, once however often the request has to be sent; gives it with every default filled in.

        Args:
            spec: what to train.
            idempotency_key: the same spec, written the same way, gives the same job under the same key for 24 hours,
                from another process too; None takes a new key. An error has it as `idempotency_key`.

        Raises:
            ValueError: the key is not 1 to 255 printable ASCII characters, or has a space at an end.
            SpecInvalid: the server refuses the spec; `errors` says where.
            RequestFailed: `idempotency-key-reused`, the key was used for another spec; `job-gone`, its job was deleted.
        """
        return self._run(flows.submitted(spec, idempotency_key, self._retry_s))

    def dry_run(self, spec: Mapping[str, object] | JobSpec) -> DryRun:
        """Ask what would become of a job: its spec in full, what is unusual, what it takes, how it would wait.

        Raises:
            SpecInvalid: the server refuses the spec; `errors` says where.
        """
        return self._send(calls.dry_run(spec))

    def get(self, job: Job | str) -> Job:
        """Read a job as it stands."""
        return self._send(calls.get(job))

    def wait(
        self,
        job: Job | str,
        *,
        timeout_s: float | None = None,
        on_update: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until nothing will happen to a job any more; gives it as it ended, whichever way.

        Args:
            job: which.
            timeout_s: how long to wait at most, and a second for an answer on its way; None waits for ever.
            on_update: called with the job at the first look, and whenever it has changed since.

        Raises:
            WaitTimedOut: it has not ended in time.
        """
        return self._run(flows.waited(job, timeout_s=timeout_s, on_update=on_update, within_s=self._retry_s))

    def follow(self, job: Job | str, *, after: str | None = None) -> Generator[JobEvent]:
        """Go through what happens to a job, from its beginning to its end, as it happens. The stream is opened again
        where it breaks off: nothing is missed, and nothing comes twice.

        Args:
            job: which.
            after: the id of an event; only what came after it.

        Raises:
            RequestFailed: `history-lost`, the server has it no more; `parameters-invalid`, `after` is no event's id.
        """
        following = Following(job, after=after, url=self.base_url, within_s=self._retry_s)
        while not following.ended:
            broken: ServerUnavailable | LimitReached | None = None
            try:
                with self._opened(following.call()) as response:
                    for message in following.opened(response) or ():
                        if event := following.received(message):
                            yield event
            except (ServerUnavailable, LimitReached) as error:
                broken = error
            if not following.ended:
                self._perform(following.pause_after(broken))

    def metrics(
        self,
        job: Job | str,
        *,
        names: Sequence[str] = (),
        since: str | None = None,
        max_points: int | None = None,
        superseded: bool = False,
    ) -> Curves:
        """Read what was measured in the course of a job.

        Args:
            job: which.
            names: only these series; none gives all.
            since: only what came after; `last` of earlier curves.
            max_points: at most so many, evenly chosen, the first and the last among them; None gives all.
            superseded: also points that a later run has taken back, having gone on from before them.

        Raises:
            RequestFailed: `history-lost`, the server has them no more.
        """
        wanted = calls.series(job, names=names, since=since, max_points=max_points, superseded=superseded)
        return Curves.of(self._send(wanted))

    def logs(
        self,
        job: Job | str,
        *,
        source: LogSource = "engine",
        attempt: int | None = None,
        run: int | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Generator[str]:
        """Go through the lines of a job's log.

        Args:
            job: which.
            source: what its engine has printed, or what has happened to the job, as JSON.
            attempt: of which attempt; None takes the latest run of all. Of engines alone.
            run: of which run, as the job's `attempts` number them. Of engines alone.
            tail: how many lines, from the end; None takes the server's 1,000.
            follow: go on with what is written until the job, or the attempt or run, has come to its end.

        Raises:
            ServerUnavailable: while following, the connection broke. It is not opened again, as lines have no ids.
            RequestFailed: `log-missing`, the run's is gone; `parameters-invalid`, these do not go together.
        """
        call = calls.log(job, source=source, attempt=attempt, run=run, tail=tail, follow=follow)
        if not follow:
            yield from self._send(call)
            return
        lines = Lines(skip_empty=source == "events")  # those say that the connection is alive
        with self._opened(call) as response:
            for chunk in response.iter_bytes():
                yield from lines.fed(chunk)
        yield from lines.rest()
        if attempt is None and run is None:
            self._run(flows.log_ended(job, url=self.base_url, within_s=self._retry_s))

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job: at once while it waits, soon while it runs. Cancelling again changes nothing.

        Raises:
            EventRefused: it has ended otherwise.
        """
        return self._send(calls.ask(job, "cancel"))

    def pause(self, job: Job | str) -> Job:
        """Pause a job: at once while it waits; while it runs, once it has written a checkpoint. Again changes nothing.

        Raises:
            EventRefused: it has ended, or is being cancelled.
        """
        return self._send(calls.ask(job, "pause"))

    def resume(self, job: Job | str) -> Job:
        """Queue a paused job again, to go on from its checkpoint, or take the wish to pause it back.

        Raises:
            EventRefused: it has ended, or is being cancelled.
        """
        return self._send(calls.ask(job, "resume"))

    def retry(self, job: Job | str, *, from_checkpoint: bool = False) -> Job:
        """Queue a failed or cancelled job again.

        Args:
            job: which.
            from_checkpoint: go on from its last checkpoint instead of starting over.

        Raises:
            EventRefused: it has not failed, nor was it cancelled.
            RequestFailed: `checkpoint-missing`, it has none to go on from.
        """
        return self._send(calls.retry(job, from_checkpoint=from_checkpoint))

    def delete(self, job: Job | str) -> None:
        """Delete a job that has ended, with its files, for good.

        Raises:
            RequestFailed: `deletion-refused`, it has not ended.
        """
        self._run(flows.deleted(job, self._retry_s))

    def cancel_all(self, *, everything: bool = False, **filters: Unpack[JobFilters]) -> Cancelled:
        """Cancel every job that fits and has not ended; says how many, less those of requests whose answers got lost.
        The filters are those of `list`.

        Args:
            everything: cancel all jobs; must be said where no filter is.
            **filters: which jobs.

        Raises:
            ValueError: neither a filter nor `everything` is given, or both.
        """
        return self._run(flows.all_cancelled(filters, everything, self._retry_s))

    def checkpoints(self, job: Job | str) -> list[StoredCheckpoint]:
        """What a job can go on from, the latest first."""
        return self._send(calls.checkpoints(job)).checkpoints

    def deliveries(self, job: Job | str) -> DeliveryList:
        """What a job's webhook was told, and is to be told."""
        return self._send(calls.deliveries(job))

    def download(self, job: Job | str, name: str, path: str | Path) -> Path:
        """Fetch a file that a job has made; says where it lies. It appears there whole and verified, or not at all. One
        that broke off is gone on with, by this call and by the next one with the same target.

        Args:
            job: whose.
            name: the artifact's, such as "model.safetensors".
            path: the file to write, or the folder to put it in under its name.

        Raises:
            ArtifactNotFound: the job has none of this name, or its file is gone.
            DownloadCorrupt: what arrived is not what the job recorded.
            OSError: it cannot be written.
        """
        artifact = self._run(flows.found(job, name, self._retry_s))
        target = placed(path, artifact.name)
        tries = Tries(self._retry_s)
        with Incoming(job, artifact, target) as incoming:
            while not incoming.arrived:
                try:
                    if incoming.lacks:
                        with self._opened(incoming.call()) as response:
                            incoming.begin(response)
                            for chunk in response.iter_bytes():
                                if incoming.write(chunk):
                                    tries.succeeded()
                    incoming.keep()
                except (ServerUnavailable, LimitReached) as error:
                    self._perform(tries.pause_after(error))
        return target

    def load_model(self, job: Job | str) -> "Trained":
        """The network that a job has trained, a `torch.nn.Module` on the CPU and in eval mode, which takes samples
        as they are. Needs torch, of `pip install 'lowland[torch]'`.

        Raises:
            NoWeights: the job minimises a function, or has not succeeded yet.
            TorchMissing: torch is not installed, or torchvision for one of its models.
            WeightsUnusable: the job is of a server that did not yet say in the file which network it is of.
        """
        seen = self.get(job)
        name = weights.artifact_of(seen)
        with TemporaryDirectory() as folder:
            return weights.load(seen, self.download(seen, name, folder))

    def workers(self) -> list[Worker]:
        """Who trains: every worker that has not left."""
        return self._send(calls.workers())

    def drain(self, worker_id: str) -> Worker:
        """Have a worker take no more jobs, put back those that it trains, and stop.

        Raises:
            RequestFailed: `worker-not-found`, there is none of this name.
        """
        return self._send(calls.drain(worker_id))

    def ready(self) -> Readiness:
        """Ask whether the server can take jobs."""
        return self._send(calls.readiness())

    def variants(self) -> list[VariantEntry]:
        """The SAM variants that a job can name, with options and costs."""
        return self._send(calls.variants())

    def datasets(self) -> list[DatasetEntry]:
        """The datasets that a job can name, with options and sizes."""
        return self._send(calls.datasets())

    def models(self) -> list[ModelEntry]:
        """The models that a job can name, with options and sizes."""
        return self._send(calls.models())

    def optimizers(self) -> list[OptimizerEntry]:
        """The base optimizers that a job can name, with options."""
        return self._send(calls.optimizers())

    def schedules(self) -> list[ScheduleEntry]:
        """The schedules of the learning rate that a job can name, with options."""
        return self._send(calls.schedules())

    def functions(self) -> list[FunctionEntry]:
        """The test functions that a job can name, with their minima."""
        return self._send(calls.functions())

    # the last one: it hides the built-in type from what stands below it
    def list(self, *, limit: int | None = None, **filters: Unpack[JobFilters]) -> Generator[Job]:
        """Go through the jobs that fit, newest first, asking for more as needed.

        Args:
            limit: stop after so many; None goes through all.
            **filters: which jobs.
        """
        pages = Pages(filters, limit=limit)
        while pages.more:
            yield from self._run(pages.next(self._retry_s)).jobs

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        return self._run(flows.sent(call, self._retry_s))

    def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    outcome = self._perform(step)
                except LowlandError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            return end.value

    def _perform(self, step: Step) -> object:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        with self._connection.translated():
            response = self._http.request(**self._connection.request(step))
        return self._connection.result(step, response)

    @contextmanager
    def _opened(self, call: Call[Any]) -> Generator[httpx2.Response]:
        with self._connection.translated(), self._http.stream(**self._connection.request(call)) as response:
            if not succeeded(response):
                response.read()
                self._connection.check(response)
            yield response
