"""The client shows its API key, and names what a server says about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import Keys, Ledger, access
from lowland import Client
from lowland.errors import JobNotFound, KeyRefused, LimitReached, NotAllowed
from lowland.spec.access import Scope
from tests.api.servers import api_server

SPEC = {"dataset": "digits"}


@pytest.fixture
def guarded(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[str]:
    """A server that wants keys."""
    with api_server(redis_url, keys, tmp_path, LOWLAND_REQUIRE_API_KEY="true") as url:
        yield url


@pytest.fixture
def ledger(redis_url: str, keys: Keys) -> Iterator[Ledger]:
    with Ledger(redis_url, keys) as opened:
        yield opened


def key(ledger: Ledger, owner: str, *scopes: Scope, quota: int | None = None) -> str:
    secret = access.new_secret()
    ledger.run(access.create_key(secret, owner=owner, scopes=scopes, quota=quota))
    return secret


def test_a_key_is_shown_and_what_it_is_not_good_for_has_a_name(
    guarded: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, reads = key(ledger, "ada", Scope.READ, Scope.SUBMIT, quota=1), key(ledger, "bob", Scope.READ)
    monkeypatch.setenv("LOWLAND_API_KEY", ada)

    with Client(guarded) as mine, Client(guarded, api_key=reads) as his, Client(guarded, api_key="") as nobodys:
        job = mine.submit(SPEC)
        assert [each.id for each in mine.list()] == [job.id]
        with pytest.raises(LimitReached, match="ada may have 1 jobs"):
            mine.submit(SPEC)
        with pytest.raises(NotAllowed, match="scope submit"):
            his.submit(SPEC)
        with pytest.raises(JobNotFound):
            his.get(job.id)
        with pytest.raises(KeyRefused, match="wants an API key"):
            nobodys.get(job.id)


def test_a_key_that_cannot_be_sent_is_refused_without_telling_it() -> None:
    with pytest.raises(ValueError, match="cannot be sent") as refused:
        Client(api_key="grün secret")

    assert "secret" not in str(refused.value)
