"""A finished job's record: in the ledger what is looked at often, packed the rest, in the artifact store all of it.

    ROOT/jobs/{job id}/record.json     the job's hash, its events, its series

A job is packed once its record is in the store. Its latest events and points stay at hand for an hour, packed too:
whoever followed the job and was cut off reads on from there, and nobody opens the record for that. What is packed is
JSON, compressed (zlib); the bytes travel as text with surrogate escapes, as the connection decodes all it reads.
"""

import json
import os
import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, cast

from ledger.finding import FOUND_BY
from ledger.store import job_folder
from lowland.disk import sync_folder

#: Where a job's record lies in its folder.
RECORD_FILE: Final = "record.json"
#: Of the record's form.
_FORM: Final = 1

#: What stays as it is: small, looked at in lists, or needed by the scripts.
_KEPT: Final = frozenset(
    [
        "id",
        "status",
        "owner",
        "queue",
        "created_ms",
        "finished_ms",
        "spent",
        "token",
        "requested",
        "webhook_events",
        "webhook_secret",
        "version",
        *FOUND_BY,
    ]
)

#: How large the latest events and points may be together, compressed: with them a finished job takes about 4 KB.
_RECENT_BYTES: Final = 700
#: More than these are not tried.
_RECENT_MOST: Final = 32

Fields = Mapping[str, str]
Entry = tuple[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All there is about a finished job."""

    fields: dict[str, str]
    events: list[Entry] = field(default_factory=list[Entry])
    """Id and fields of each."""
    points: list[Entry] = field(default_factory=list[Entry])
    """Of its series; id (token-sequence) and fields of each."""

    def after(self, earlier: "Record | None") -> "Record":
        """With the events and points of an earlier record of the job before its own."""
        if earlier is None:
            return self
        return Record(
            fields=self.fields,
            events=[*_before(self.events, earlier.events), *self.events],
            points=[*_before(self.points, earlier.points), *self.points],
        )


def _before(later: list[Entry], earlier: list[Entry]) -> list[Entry]:
    have = {entry[0] for entry in later}
    return [entry for entry in earlier if entry[0] not in have]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The latest of a finished job's events and points, as many as are kept at hand."""

    events: list[Entry]
    points: list[Entry]


def pack(fields: Fields) -> tuple[str, list[str]]:
    """The packed part of a job's hash, and the names of the fields that are in it."""
    part = {name: value for name, value in fields.items() if name not in _KEPT}
    return _as_text(_compressed(part)), list(part)


def unpack(part: str) -> dict[str, str]:
    """The other way round."""
    return json.loads(_decompressed(part))


def pack_recent(record: Record) -> str:
    """The latest events, and beside them the latest points, as many as are small enough."""
    events = _latest(record.events, lambda some: _compressed([some, []]))
    points = _latest(record.points, lambda some: _compressed([events, some]))
    return _as_text(_compressed([events, points]))


def _latest(entries: list[Entry], packed: Callable[[list[Entry]], bytes]) -> list[Entry]:
    count = min(len(entries), _RECENT_MOST)
    while count and len(packed(entries[-count:])) > _RECENT_BYTES:
        count = count * 3 // 4
    return entries[len(entries) - count :]


def unpack_recent(part: str) -> Recent:
    """The other way round."""
    events, points = cast("list[object]", json.loads(_decompressed(part)))
    return Recent(events=_entries(events), points=_entries(points))


def _compressed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)


def _as_text(packed: bytes) -> str:
    return packed.decode("utf-8", "surrogateescape")


def _decompressed(part: str) -> bytes:
    return zlib.decompress(part.encode("utf-8", "surrogateescape"))


def write_record(root: Path, record: Record) -> None:
    """Put a job's record into the store, complete or not at all.

    Raises:
        OSError: the store cannot be written.
    """
    folder = job_folder(root, record.fields["id"])
    folder.mkdir(parents=True, exist_ok=True)
    secret = {"webhook_secret"}  # the store is read by more people than the ledger
    public = {name: value for name, value in record.fields.items() if name not in secret}
    document = {"form": _FORM, **asdict(record), "fields": public}
    temporary = folder / f".{RECORD_FILE}.{secrets.token_hex(4)}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / RECORD_FILE)
        for one in (folder, folder.parent):  # the names are on disk only once their folders are
            sync_folder(one)
    finally:
        temporary.unlink(missing_ok=True)


def read_record(root: Path, job_id: str) -> Record | None:
    """A job's record; None where the store has none.

    Raises:
        OSError: it is there and cannot be read.
        ValueError: it is no record of a form this version knows.
    """
    try:
        document: object = json.loads((job_folder(root, job_id) / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    parts = cast("dict[str, object]", document)
    if parts.get("form") != _FORM:
        raise ValueError(f"it is of form {parts.get('form')}; this version of Lowland reads form {_FORM}")
    return Record(
        fields=_texts(parts.get("fields")), events=_entries(parts.get("events")), points=_entries(parts.get("points"))
    )


def _texts(found: object) -> dict[str, str]:
    """What was written as an object of texts."""
    if isinstance(found, dict):
        values = cast("dict[str, object]", found)
        if all(isinstance(value, str) for value in values.values()):
            return cast("dict[str, str]", values)
    raise ValueError("where it should have an object of texts it has something else")


def _entries(found: object) -> list[Entry]:
    """What was written as a list of entries."""
    if not isinstance(found, list):
        raise ValueError("its events or points are no list")
    return [_entry(one) for one in cast("list[object]", found)]


def _entry(found: object) -> Entry:
    pair = cast("list[object]", found) if isinstance(found, list) else []
    if len(pair) != 2 or not isinstance(pair[0], str):
        raise ValueError("an event or point is no pair of id and fields")
    return pair[0], _texts(pair[1])
