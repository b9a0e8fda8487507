"""The blocking client."""

import os
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx2

from lowland.client import calls
from lowland.client.answers import failure
from lowland.client.calls import Call, Filters
from lowland.client.download import Incoming
from lowland.errors import AnswerUnreadable, ArtifactNotFound, JobNotFound, ServerUnavailable, WaitTimedOut
from lowland.spec import JobSpec
from lowland.spec.resource import Artifact, Cancelled, DryRun, Job, StoredCheckpoint

T = TypeVar("T")

#: Where the key lies that a client shows, if it is not given one.
KEY_VARIABLE: Final = "LOWLAND_API_KEY"
#: Jobs asked for at a time while iterating.
PAGE_SIZE: Final = 100
#: The first pause before asking again, and the longest, in seconds; each is twice the one before.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0


class Client:
    """A connection to a Lowland server. Use it as a context manager, or close it; for one thread.

        with Client() as lowland:
            job = lowland.wait(lowland.submit({"dataset": "digits"}).id)

    Args:
        base_url: where the server is.
        api_key: what to show it; None takes `LOWLAND_API_KEY` of the environment, if there is one.
        timeout_s: how long it may be silent, for connecting, sending and receiving each.
        retry_s: for how long to go on asking when the server cannot be reached. Only `retry` is sent once: if its
            answer is lost, nobody knows whether the job was queued again.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_s: float = 10.0,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url is {base_url}; give a URL that starts with http:// or https://")
        self.base_url: Final = base_url.rstrip("/")
        self._retry_s: Final = retry_s
        # a proxy in the environment is for other machines than this one
        self._http: Final = httpx2.Client(
            base_url=self.base_url,
            headers=_authorization(os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key),
            timeout=timeout_s,
            trust_env=not _is_this_machine(self.base_url),
        )

    def submit(self, spec: Mapping[str, object] | JobSpec, *, idempotency_key: str | None = None) -> Job:
        """Queue a job, once however often the request has to be sent; gives it with every default filled in.

        Args:
            spec: what to train.
            idempotency_key: the same spec, written the same way, gives the same job under the same key for 24 hours,
                from another process too; None takes a new key.

        Raises:
            ValueError: the key is not 1 to 255 printable ASCII characters, or has a space at an end.
            SpecInvalid: the server refuses the spec; `errors` says where.
            RequestFailed: `idempotency-key-reused`, the key was used for another spec; `job-gone`, its job was deleted.
        """
        return self._run(calls.submit(spec, uuid.uuid4().hex if idempotency_key is None else idempotency_key))

    def get(self, job_id: str) -> Job:
        """Read a job as it stands.

        Raises:
            JobNotFound: there is none with this id.
        """
        return self._run(calls.get(job_id))

    def wait(
        self,
        job_id: str,
        *,
        timeout_s: float | None = None,
        poll_s: float = 0.5,
        on_update: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until nothing will happen to a job any more; gives it as it ended, whichever way.

        Args:
            job_id: which.
            timeout_s: how long to wait at most; None waits for ever.
            poll_s: the pause between two looks.
            on_update: called with the job at the first look, and whenever it has changed since.

        Raises:
            WaitTimedOut: it has not ended in time.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        seen: Job | None = None
        while True:
            job = self.get(job_id)
            if on_update is not None and job != seen:
                on_update(job)
            if job.terminal:
                return job
            seen = job
            left_s = poll_s if deadline is None else deadline - time.monotonic()
            if timeout_s is not None and left_s <= 0:
                raise WaitTimedOut(job_id, job.status, timeout_s)
            time.sleep(min(poll_s, left_s))

    def dry_run(self, spec: Mapping[str, object] | JobSpec) -> DryRun:
        """Ask what would become of a job: its spec in full, what is unusual, what it takes, how it would wait.

        Raises:
            SpecInvalid: the server refuses the spec; `errors` says where.
        """
        return self._run(calls.dry_run(spec))

    def jobs(
        self,
        *,
        limit: int | None = None,
        status: str | None = None,
        dataset: str | None = None,
        variant: str | None = None,
        model: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        owner: str | None = None,
    ) -> Iterator[Job]:
        """Go through the jobs that fit, newest first, asking for more as needed.

        Args:
            limit: stop after so many; None goes through all.
            status: only jobs in this state.
            dataset: only jobs on it.
            variant: only jobs with it.
            model: only jobs of it, such as "cnn" or "torchvision/resnet50".
            name: only jobs whose name begins so.
            tags: only jobs with all of these, each "team" or "team:vision".
            owner: only jobs of theirs.
        """
        filters = Filters(
            status=status, dataset=dataset, variant=variant, model=model, name=name, tags=tags, owner=owner
        )
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            page = self._run(calls.page(filters, limit=size, cursor=cursor))
            yield from page.jobs
            cursor = page.next
            if cursor is None:
                return
            left = None if left is None else left - len(page.jobs)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: at once while it waits, soon while it runs. Cancelling again changes nothing.

        Raises:
            JobNotFound: there is none with this id.
            EventRefused: it has ended otherwise.
        """
        return self._run(calls.ask(job_id, "cancel"))

    def cancel_all(
        self,
        *,
        status: str | None = None,
        dataset: str | None = None,
        variant: str | None = None,
        model: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        owner: str | None = None,
        everything: bool = False,
    ) -> Cancelled:
        """Cancel every job that fits and has not ended; says how many. The filters are those of `jobs`.

        Args:
            status: only jobs in this state.
            dataset: only jobs on it.
            variant: only jobs with it.
            model: only jobs of it.
            name: only jobs whose name begins so.
            tags: only jobs with all of these.
            owner: only jobs of theirs.
            everything: cancel all jobs; must be said where no filter is.

        Raises:
            ValueError: neither a filter nor `everything` is given, or both.
        """
        filters = Filters(
            status=status, dataset=dataset, variant=variant, model=model, name=name, tags=tags, owner=owner
        )
        if everything == bool(filters.parameters()):
            raise ValueError("give filters, or everything=True alone to cancel every job")
        cancelled, requested, cursor = 0, 0, None
        while True:
            done = self._run(calls.cancel_all(filters, cursor=cursor))
            cancelled, requested, cursor = cancelled + done.cancelled, requested + done.requested, done.next
            if cursor is None:
                return Cancelled(cancelled=cancelled, requested=requested, next=None)

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its files, for good.

        Raises:
            JobNotFound: there is none with this id.
            RequestFailed: `deletion-refused`, it has not ended.
        """
        sent = 0

        def attempt() -> None:
            nonlocal sent
            sent += 1
            try:
                self._once(calls.delete(job_id))
            except JobNotFound:
                if sent == 1:
                    raise  # else an earlier one has deleted it, and its answer got lost

        self._repeat(attempt)

    def checkpoints(self, job_id: str) -> list[StoredCheckpoint]:
        """What a job can go on from, the latest first.

        Raises:
            JobNotFound: there is none with this id.
        """
        return self._run(calls.checkpoints(job_id)).checkpoints

    def pause(self, job_id: str) -> Job:
        """Pause a job: at once while it waits; while it runs, once it has written a checkpoint. Again changes nothing.

        Raises:
            JobNotFound: there is none with this id.
            EventRefused: it has ended, or is being cancelled.
        """
        return self._run(calls.ask(job_id, "pause"))

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again, to go on from its checkpoint, or take the wish to pause it back.

        Raises:
            JobNotFound: there is none with this id.
            EventRefused: it has ended, or is being cancelled.
        """
        return self._run(calls.ask(job_id, "resume"))

    def retry(self, job_id: str, *, from_checkpoint: bool = False) -> Job:
        """Queue a job again that failed or was cancelled, with as many attempts as it had at first.

        Args:
            job_id: which job.
            from_checkpoint: go on from its latest checkpoint; else start over.

        Raises:
            JobNotFound: there is none with this id.
            EventRefused: it has succeeded, or is paused.
            RequestFailed: `checkpoint-missing`, it has none.
        """
        return self._run(calls.retry(job_id, from_checkpoint=from_checkpoint))

    def download(self, job_id: str, name: str, path: Path | str) -> Path:
        """Fetch a file that the job has made; nothing stands at `path` before it is whole and verified.

        Args:
            job_id: which job.
            name: as in the job's `artifacts`.
            path: where to put the file, or the folder to put it in under its name.

        Raises:
            JobNotFound: there is none with this id.
            ArtifactNotFound: the job has no file of this name.
            DownloadCorrupt: what arrived does not have the recorded checksum.
        """
        artifact = self._artifact(job_id, name)
        target = Path(path) / artifact.name if Path(path).is_dir() else Path(path)
        self._repeat(lambda: self._fetch(artifact, target))
        return target

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _artifact(self, job_id: str, name: str) -> Artifact:
        artifacts = {artifact.name: artifact for artifact in self.get(job_id).artifacts}
        if name not in artifacts:
            detail = f"job {job_id} has no artifact {name}; it has {', '.join(artifacts) or 'none yet'}"
            raise ArtifactNotFound(status=404, slug="artifact-not-found", detail=detail)
        return artifacts[name]

    def _fetch(self, artifact: Artifact, target: Path) -> None:
        with self._translated(), self._http.stream("GET", artifact.href) as response:
            if not response.is_success:
                raise failure(self.base_url, response.status_code, response.read())
            with Incoming(target) as incoming:
                for chunk in response.iter_bytes():
                    incoming.write(chunk)
                incoming.keep_if(name=artifact.name, sha256=artifact.sha256)

    def _run(self, call: Call[T]) -> T:
        return self._repeat(lambda: self._once(call)) if call.repeatable else self._once(call)

    def _once(self, call: Call[T]) -> T:
        headers = dict(call.headers) if call.body is None else {"Content-Type": "application/json", **call.headers}
        with self._translated():
            response = self._http.request(
                call.method, call.path, params=call.parameters, content=call.body, headers=headers
            )
        if not response.is_success:
            raise failure(self.base_url, response.status_code, response.content)
        try:
            return call.read(response.content)
        except ValueError as error:
            raise AnswerUnreadable(self.base_url, str(error)) from error

    def _repeat(self, attempt: Callable[[], T]) -> T:
        pauses = _pauses(within_s=self._retry_s)
        while True:
            try:
                return attempt()
            except ServerUnavailable:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
                time.sleep(pause_s)

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise ServerUnavailable(self.base_url, str(error) or type(error).__name__) from error
        except httpx2.DecodingError as error:
            raise AnswerUnreadable(self.base_url, str(error)) from error


def _authorization(api_key: str) -> dict[str, str]:
    key = api_key.strip()
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise ValueError("api_key holds what cannot be sent; give it as `lowland keys create` printed it")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _pauses(*, within_s: float) -> Iterator[float]:
    """Growing pauses, until the time is over."""
    deadline = time.monotonic() + within_s
    pause_s = FIRST_PAUSE_S
    while time.monotonic() + pause_s < deadline:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
