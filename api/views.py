"""Jobs as GET answers them: their JSON and its ETag, made once for each version of a job."""

from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from fastapi import Response

from ledger import AsyncLedger, reads
from lowland.spec import Status
from lowland.spec.resource import Job

#: Jobs whose JSON is kept, those asked for last; each takes some KB.
KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class Page:
    """Some JSON."""

    body: bytes
    etag: str
    """Strong: the same for the same bytes alone."""

    def matches(self, if_none_match: str) -> bool:
        """Whether an If-None-Match header names it."""
        return is_named(self.etag, if_none_match)

    def answer(self, if_none_match: str | None, headers: Mapping[str, str]) -> Response:
        """The page with its ETag and these headers; 304 without it where If-None-Match names it."""
        headers = {"ETag": self.etag, **headers}
        if if_none_match is not None and self.matches(if_none_match):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type="application/json")


@dataclass(frozen=True, slots=True)
class View(Page):
    """A job's JSON."""

    status: Status

    @property
    def is_final(self) -> bool:
        """Whether it stays as it is, unless somebody retries the job."""
        return self.status.terminal


def is_named(etag: str, if_none_match: str) -> bool:
    """Whether an If-None-Match header names this ETag (RFC 9110, 13.1.2)."""
    names = [name.strip().removeprefix("W/") for name in if_none_match.split(",")]
    return "*" in names or etag in names


class Views:
    """Reads views, and keeps those of jobs that do not wait."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger
        self._kept: OrderedDict[str, tuple[str, View]] = OrderedDict()

    async def of(self, job_id: str, *, owner: str) -> View:
        """The job as it stands.

        Args:
            job_id: which.
            owner: whose it must be; empty for anybody's.

        Raises:
            JobNotFound: no job of theirs has this id.
        """
        version, kept = self._kept.get(job_id, ("", None))
        found = await self._ledger.run(reads.get_job_unless(job_id, version if kept else "", owner=owner))
        if found is None and kept is not None:
            if job_id in self._kept:  # else it had to go for others meanwhile
                self._kept.move_to_end(job_id)
            return kept
        assert found is not None  # it is only left out where its version is known
        view = _view(found.job)
        if found.version and view.status != Status.QUEUED:
            self._kept[job_id] = (found.version, view)
            self._kept.move_to_end(job_id)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.pop(job_id, None)
        return view


def etag_of(body: bytes) -> str:
    """A strong ETag."""
    return f'"{urlsafe_b64encode(blake2b(body, digest_size=15).digest()).decode()}"'


def _view(job: Job) -> View:
    body = job.model_dump_json(by_alias=True).encode()
    return View(body, etag_of(body), job.status)
