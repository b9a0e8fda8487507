"""Reading server-sent events as a browser does."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Sent:
    """One event."""

    name: str
    data: Any
    id: str | None


def sent(lines: Iterable[str]) -> Iterator[Sent]:
    """The events in a stream's lines; comments and fields beside them are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "data" in fields:
                yield Sent(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
            fields = {}


def follow(http: httpx2.Client, job_id: str, *, after: str | None = None, most: int | None = None) -> list[Sent]:
    """Follow a job to its end, or for so many events; none where there is nothing more to come."""
    headers = {} if after is None else {"last-event-id": after}
    found: list[Sent] = []
    with http.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status_code in {200, 204}, answer.status_code
        for one in sent(answer.iter_lines()):
            found.append(one)
            if len(found) == most:
                break
    return found
