"""`lowland keys`: API keys made, listed and revoked, in the ledger of a server that may be running."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ledger import Ledger, access
from ledger.access import AccessKey
from stack.errors import FolderMissing
from stack.opened import shared_ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose keys they are."""

    data_dir: Path
    redis_url: str | None
    """A Redis to use; None means the one of the data folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A key that somebody is to have."""

    owner: str
    scopes: Sequence[str]
    name: str
    expires_in_s: int | None
    rate_limit: str | None
    quota: int | None


def create(place: Place, wanted: Wanted) -> tuple[str, AccessKey]:
    """Make a key; gives it, which nobody can do again, and what is known of it.

    Raises:
        ValueError: there can be no such key.
        CannotServe: something about the machine or the options does not allow it.
    """
    secret = access.new_secret()
    call = access.create_key(
        secret,
        owner=access.check_owner(wanted.owner),
        scopes=access.read_scopes(wanted.scopes),
        name=wanted.name,
        expires_in_ms=None if wanted.expires_in_s is None else 1000 * wanted.expires_in_s,
        rate_limit=access.check_rate(wanted.rate_limit) if wanted.rate_limit else None,
        quota=wanted.quota,
    )
    with shared_ledger(place.data_dir, place.redis_url) as ledger:
        return secret, ledger.run(call)


def ls(place: Place) -> list[AccessKey]:
    """Every key there is, but for those in the environment of a server.

    Raises:
        CannotServe: something about the machine or the options does not allow it.
    """
    with _there(place) as ledger:
        return ledger.run(access.list_keys())


def revoke(place: Place, key_id: str | None) -> int:
    """Let a key in no more, or with None all of them; gives how many are left.

    Raises:
        KeyNotFound: no key has this id.
        CannotServe: something about the machine or the options does not allow it.
    """
    with _there(place) as ledger:
        ledger.run(access.revoke_all_keys() if key_id is None else access.revoke_key(key_id))
        return len(ledger.run(access.list_keys()))


def _there(place: Place) -> AbstractContextManager[Ledger]:
    """The ledger, where there is one; nobody looks for keys in a folder that he has just made."""
    if place.redis_url is None and not place.data_dir.expanduser().is_dir():
        raise FolderMissing(place.data_dir)
    return shared_ledger(place.data_dir, place.redis_url)
