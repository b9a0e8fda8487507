"""Who may come in: API keys, the browser sessions that were opened with them, and the audit of what was done.

A key is `lowland_` and 32 random bytes. The ledger holds its SHA-256 only: nobody guesses 256 random bits, so a slow
hash with salt, made for passwords, would add nothing. It is found by that digest, which tells nobody how to get nearer
to a key.
"""

import hashlib
import re
import secrets
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

from ledger.calls import Answer, Call
from ledger.errors import KeyNotFound
from lowland.spec.access import OWNER_PATTERN, AuditEntry, AuditPage, Scope
from lowland.spec.show import shown

#: How long a browser's session lasts at most, ms.
SESSION_MS: Final = 12 * 3600 * 1000
#: Who did what `lowland keys` does, as the audit says.
COMMAND_LINE: Final = "command line"
#: What a key looks like that somebody has made up; ours are of this kind too.
_SECRET_PATTERN: Final = re.compile(r"[A-Za-z0-9._~-]{32,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """What is known of a key, which is not the key itself."""

    id: str
    owner: str
    scopes: frozenset[Scope]
    name: str = ""
    created_at: datetime | None = None
    """None for one from the environment."""
    expires_at: datetime | None = None
    rate_limit: str | None = None
    """Requests it is good for, as `600/minute`; None means the server's."""
    quota: int | None = None
    """Unfinished jobs its owner may have for it to make another; None means the server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What the ledger knows of who is at the door."""

    outcome: Literal["open", "unknown", "expired", "known"]
    """`open`: there is no key here and never was, so that everybody may come in."""
    digest: str
    """Of the key that was shown, or that the session was opened with; empty where neither is known."""
    key: AccessKey | None = None


def new_secret() -> str:
    """A key that nobody has had before."""
    return "lowland_" + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """By what the ledger knows a key or a session."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def read_keys(text: str) -> Mapping[str, AccessKey]:
    """The keys in a text `OWNER:SCOPES:KEY,...`, by their digests.

    Raises:
        ValueError: it is none; the message does not tell the keys.
    """
    keys: dict[str, AccessKey] = {}
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        owner, scopes, secret = _parts_of(entry, number)
        digest = digest_of(secret)
        if digest in keys:
            raise ValueError(f"entry {number} has the key of an entry before; give each its own")
        keys[digest] = AccessKey(id=f"env_{digest[:12]}", owner=owner, scopes=read_scopes(scopes.split("+")))
    return keys


def _parts_of(entry: str, number: int) -> tuple[str, str, str]:
    parts = entry.split(":")
    if len(parts) != 3:
        raise ValueError(
            f"entry {number} has {len(parts)} parts; give OWNER:SCOPES:KEY, such as ada:read+submit:lowland_..."
        )
    owner, scopes, secret = parts
    check_owner(owner)
    if not _SECRET_PATTERN.fullmatch(secret):
        raise ValueError(
            f"the key of {owner} is not 32 to 200 letters, digits and ._~-; `lowland keys create` makes good ones"
        )
    return owner, scopes, secret


def check_owner(owner: str) -> str:
    """Make sure that somebody may be called so.

    Raises:
        ValueError: nobody may.
    """
    if not re.fullmatch(OWNER_PATTERN, owner):
        raise ValueError(f"the owner is {shown(owner)}; give 1 to 64 letters, digits and ._@-, a letter or digit first")
    return owner


def read_scopes(names: Collection[str]) -> frozenset[Scope]:
    """The scopes of these names.

    Raises:
        ValueError: one is unknown, or there is none.
    """
    if unknown := sorted(set(names) - set(Scope)):
        raise ValueError(f"the scope is {shown(unknown[0])}; give {', '.join(Scope)}")
    if not names:
        raise ValueError(f"there is no scope; give {', '.join(Scope)}")
    return frozenset(Scope(name) for name in names)


def check_rate(rate: str) -> str:
    """Make sure that this is a rate.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", rate):
        raise ValueError(f"the rate is {shown(rate)}; give a number per second, minute, hour or day, as 600/minute")
    return rate


def create_key(
    secret: str,
    *,
    owner: str,
    scopes: Collection[Scope],
    name: str = "",
    expires_in_ms: int | None = None,
    rate_limit: str | None = None,
    quota: int | None = None,
) -> Call[AccessKey]:
    """Let a key in from now on; gives what is known of it."""
    key_id = "key_" + digest_of(secret)[:12]
    args = (key_id, digest_of(secret), owner, ",".join(sorted(scopes)), name)
    limits = tuple("" if limit is None else limit for limit in (expires_in_ms, rate_limit, quota))
    return Call("create_key", (*args, *limits), lambda answer: _key(answer[1]))


def list_keys() -> Call[list[AccessKey]]:
    """Every key, oldest first."""

    def read(answer: Answer) -> list[AccessKey]:
        return sorted((_key(part) for part in answer[1:]), key=lambda key: (str(key.created_at), key.id))

    return Call("list_keys", (), read)


def revoke_key(key_id: str) -> Call[None]:
    """Let a key in no more. Where it was the last, nobody comes in.

    Raises:
        KeyNotFound: no key has this id.
    """

    def read(answer: Answer) -> None:
        if answer[0] == "no_such_key":
            raise KeyNotFound(key_id)

    return Call("revoke_key", (uuid.uuid4().hex, key_id), read)


def revoke_all_keys() -> Call[None]:
    """Be without keys again, as if there had never been one: everybody may come in."""
    return Call("revoke_key", (uuid.uuid4().hex, ""), lambda _: None)


def is_guarded() -> Call[bool]:
    """Whether the ledger has, or has had, keys."""
    return Call("recognize", ("", ""), lambda answer: answer[0] != "open")


def recognize(*, key: str = "", session: str = "") -> Call[Recognition]:
    """Look up who comes with these digests: of a key, or else of a session, or with neither."""

    def read(answer: Answer) -> Recognition:
        outcome = cast('Literal["open", "unknown", "expired", "known"]', str(answer[0]))
        known = _key(answer[2]) if outcome == "known" else None
        return Recognition(outcome=outcome, digest=str(answer[1]), key=known)

    return Call("recognize", (key, session), read)


def open_session(session: str, *, key: str) -> Call[tuple[datetime, timedelta]]:
    """Let a browser in that shows this session's secret, as if it showed the key; gives until when, and how long.

    Both are digests.
    """

    def read(answer: Answer) -> tuple[datetime, timedelta]:
        return _time(str(answer[1])), timedelta(milliseconds=int(str(answer[2])))

    return Call("open_session", (session, key, SESSION_MS), read)


def close_session(session: str) -> Call[None]:
    """End a session, if there is one with this digest."""
    return Call("close_session", (session,), lambda _: None)


def audit(*, owner: str, key_id: str, action: str, subject: str = "", status: int, request_id: str = "") -> Call[None]:
    """Write down that a request was answered."""
    entry = (owner, key_id, action, subject, status, request_id)
    return Call("audit", (uuid.uuid4().hex, *entry), lambda _: None)


def read_audit(*, limit: int, cursor: str | None = None) -> Call[AuditPage]:
    """A part of the audit, newest first.

    Args:
        limit: how many entries, at least 1.
        cursor: the `next` of the page before.
    """

    def read(answer: Answer) -> AuditPage:
        rows = [cast("tuple[str, list[str]]", row) for row in answer[1:]]
        entries = [_entry(_pairs(fields)) for _, fields in rows[:limit]]
        return AuditPage(entries=entries, next=rows[limit - 1][0] if len(rows) > limit else None)

    return Call("read_audit", (cursor or "", limit + 1), read)


def _key(part: object) -> AccessKey:
    fields = _pairs(cast("list[str]", part))
    expires_ms, quota = fields.get("expires_ms"), fields.get("quota")
    return AccessKey(
        id=fields["id"],
        owner=fields["owner"],
        scopes=frozenset(Scope(name) for name in fields["scopes"].split(",") if name),
        name=fields.get("name", ""),
        created_at=_time(fields["created_ms"]),
        expires_at=_time(expires_ms) if expires_ms else None,
        rate_limit=fields.get("rate_limit"),
        quota=int(quota) if quota else None,
    )


def _entry(fields: Mapping[str, str]) -> AuditEntry:
    status = fields.get("status")
    return AuditEntry(
        at=_time(fields["at_ms"]),
        owner=fields["owner"],
        key_id=fields.get("key_id") or None,
        action=fields["action"],
        subject=fields.get("subject") or None,
        status=int(status) if status else None,
        request_id=fields.get("request_id") or None,
    )


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _time(ms: str) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)
