"""The client for asyncio and trio. What its methods take, do and raise is written at `Client`'s."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

import anyio
import httpx2
from anyio import to_thread

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


class AsyncClient:
    """`Client`, to be awaited: for services that do something else meanwhile.

        async with AsyncClient() as lowland:
            job = await lowland.wait(await lowland.submit({"dataset": "digits"}))
            async with aclosing(lowland.follow(job)) as events:
                async for event in events:
                    print(event.name)

    Every method of `Client` is here under its name, with the same arguments and errors. `contextlib.aclosing` closes
    the connection where the loop is left before its end. Files are written without giving way to other tasks, a piece
    at a time.
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
        self._http: Final = httpx2.AsyncClient(**self._connection.options())

    async def submit(self, spec: Mapping[str, object] | JobSpec, *, idempotency_key: str | None = None) -> Job:
        """Queue a job, once however often the request has to be sent; gives it with every default filled in."""
        return await self._run(flows.submitted(spec, idempotency_key, self._retry_s))

    async def dry_run(self, spec: Mapping[str, object] | JobSpec) -> DryRun:
        """Ask what would become of a job: its spec in full, what is unusual, what it takes, how it would wait."""
        return await self._send(calls.dry_run(spec))

    async def get(self, job: Job | str) -> Job:
        """Read a job as it stands."""
        return await self._send(calls.get(job))

    async def wait(
        self,
        job: Job | str,
        *,
        timeout_s: float | None = None,
        on_update: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until nothing will happen to a job any more; gives it as it ended, whichever way."""
        return await self._run(flows.waited(job, timeout_s=timeout_s, on_update=on_update, within_s=self._retry_s))

    async def follow(self, job: Job | str, *, after: str | None = None) -> AsyncGenerator[JobEvent]:
        """Go through what happens to a job, from its beginning to its end, as it happens."""
        following = Following(job, after=after, url=self.base_url, within_s=self._retry_s)
        while not following.ended:
            broken: ServerUnavailable | LimitReached | None = None
            try:
                async with self._opened(following.call()) as response:
                    if stream := following.opened(response):
                        async for message in stream:
                            if event := following.received(message):
                                yield event
            except (ServerUnavailable, LimitReached) as error:
                broken = error
            if not following.ended:
                await self._perform(following.pause_after(broken))

    async def metrics(
        self,
        job: Job | str,
        *,
        names: Sequence[str] = (),
        since: str | None = None,
        max_points: int | None = None,
        superseded: bool = False,
    ) -> Curves:
        """Read what was measured in the course of a job."""
        wanted = calls.series(job, names=names, since=since, max_points=max_points, superseded=superseded)
        return Curves.of(await self._send(wanted))

    async def logs(
        self,
        job: Job | str,
        *,
        source: LogSource = "engine",
        attempt: int | None = None,
        run: int | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[str]:
        """Go through the lines of a job's log."""
        call = calls.log(job, source=source, attempt=attempt, run=run, tail=tail, follow=follow)
        if not follow:
            for line in await self._send(call):
                yield line
            return
        lines = Lines(skip_empty=source == "events")
        async with self._opened(call) as response:
            async for chunk in response.aiter_bytes():
                for line in lines.fed(chunk):
                    yield line
        for line in lines.rest():
            yield line
        if attempt is None and run is None:
            await self._run(flows.log_ended(job, url=self.base_url, within_s=self._retry_s))

    async def cancel(self, job: Job | str) -> Job:
        """Cancel a job: at once while it waits, soon while it runs. Cancelling again changes nothing."""
        return await self._send(calls.ask(job, "cancel"))

    async def pause(self, job: Job | str) -> Job:
        """Pause a job: at once while it waits; while it runs, once it has written a checkpoint."""
        return await self._send(calls.ask(job, "pause"))

    async def resume(self, job: Job | str) -> Job:
        """Queue a paused job again, to go on from its checkpoint, or take the wish to pause it back."""
        return await self._send(calls.ask(job, "resume"))

    async def retry(self, job: Job | str, *, from_checkpoint: bool = False) -> Job:
        """Queue a failed or cancelled job again."""
        return await self._send(calls.retry(job, from_checkpoint=from_checkpoint))

    async def delete(self, job: Job | str) -> None:
        """Delete a job that has ended, with its files, for good."""
        await self._run(flows.deleted(job, self._retry_s))

    async def cancel_all(self, *, everything: bool = False, **filters: Unpack[JobFilters]) -> Cancelled:
        """Cancel every job that fits and has not ended; says how many. The filters are those of `list`."""
        return await self._run(flows.all_cancelled(filters, everything, self._retry_s))

    async def checkpoints(self, job: Job | str) -> list[StoredCheckpoint]:
        """What a job can go on from, the latest first."""
        return (await self._send(calls.checkpoints(job))).checkpoints

    async def deliveries(self, job: Job | str) -> DeliveryList:
        """What a job's webhook was told, and is to be told."""
        return await self._send(calls.deliveries(job))

    async def download(self, job: Job | str, name: str, path: str | Path) -> Path:
        """Fetch a file that a job has made; says where it lies."""
        artifact = await self._run(flows.found(job, name, self._retry_s))
        target = placed(path, artifact.name)
        tries = Tries(self._retry_s)
        with await to_thread.run_sync(Incoming, job, artifact, target) as incoming:  # it reads what is there already
            while not incoming.arrived:
                try:
                    if incoming.lacks:
                        async with self._opened(incoming.call()) as response:
                            incoming.begin(response)
                            async for chunk in response.aiter_bytes():
                                if incoming.write(chunk):
                                    tries.succeeded()
                    incoming.keep()
                except (ServerUnavailable, LimitReached) as error:
                    await self._perform(tries.pause_after(error))
        return target

    async def load_model(self, job: Job | str) -> "Trained":
        """The network that a job has trained, a `torch.nn.Module` on the CPU and in eval mode."""
        seen = await self.get(job)
        name = weights.artifact_of(seen)
        with TemporaryDirectory() as folder:
            return await to_thread.run_sync(weights.load, seen, await self.download(seen, name, folder))

    async def workers(self) -> list[Worker]:
        """Who trains: every worker that has not left."""
        return await self._send(calls.workers())

    async def drain(self, worker_id: str) -> Worker:
        """Have a worker take no more jobs, put back those that it trains, and stop."""
        return await self._send(calls.drain(worker_id))

    async def ready(self) -> Readiness:
        """Ask whether the server can take jobs."""
        return await self._send(calls.readiness())

    async def variants(self) -> list[VariantEntry]:
        """The SAM variants that a job can name, with options and costs."""
        return await self._send(calls.variants())

    async def datasets(self) -> list[DatasetEntry]:
        """The datasets that a job can name, with options and sizes."""
        return await self._send(calls.datasets())

    async def models(self) -> list[ModelEntry]:
        """The models that a job can name, with options and sizes."""
        return await self._send(calls.models())

    async def optimizers(self) -> list[OptimizerEntry]:
        """The base optimizers that a job can name, with options."""
        return await self._send(calls.optimizers())

    async def schedules(self) -> list[ScheduleEntry]:
        """The schedules of the learning rate that a job can name, with options."""
        return await self._send(calls.schedules())

    async def functions(self) -> list[FunctionEntry]:
        """The test functions that a job can name, with their minima."""
        return await self._send(calls.functions())

    # the last one: it hides the built-in type from what stands below it
    async def list(self, *, limit: int | None = None, **filters: Unpack[JobFilters]) -> AsyncGenerator[Job]:
        """Go through the jobs that fit, newest first, asking for more as needed."""
        pages = Pages(filters, limit=limit)
        while pages.more:
            for job in (await self._run(pages.next(self._retry_s))).jobs:
                yield job

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _send(self, call: Call[T]) -> T:
        return await self._run(flows.sent(call, self._retry_s))

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    outcome = await self._perform(step)
                except LowlandError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            return end.value

    async def _perform(self, step: Step) -> object:
        if isinstance(step, Pause):
            return await anyio.sleep(step.seconds)
        with self._connection.translated():
            response = await self._http.request(**self._connection.request(step))
        return self._connection.result(step, response)

    @asynccontextmanager
    async def _opened(self, call: Call[Any]) -> AsyncGenerator[httpx2.Response]:
        with self._connection.translated():
            async with self._http.stream(**self._connection.request(call)) as response:
                if not succeeded(response):
                    await response.aread()
                    self._connection.check(response)
                yield response
