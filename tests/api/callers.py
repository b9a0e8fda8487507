"""Callers with keys, and servers that want them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from fastapi.testclient import TestClient

from api import ApiSettings, create_app
from ledger import Ledger, access
from lowland.spec.access import Scope

READ_AND_SUBMIT = (Scope.READ, Scope.SUBMIT)


def key(ledger: Ledger, owner: str = "ada", *scopes: Scope, **options: Any) -> dict[str, str]:
    """Make a key; gives the header that shows it."""
    secret = access.new_secret()
    ledger.run(access.create_key(secret, owner=owner, scopes=scopes or READ_AND_SUBMIT, **options))
    return shown(secret)


def shown(secret: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {secret}"}


def secret_of(headers: dict[str, str]) -> str:
    """The key that a header shows."""
    return headers["Authorization"].removeprefix("Bearer ")


@contextmanager
def server(settings: ApiSettings, **changes: Any) -> Iterator[httpx2.Client]:
    """A client of an app with other settings."""
    with TestClient(create_app(settings.model_copy(update=changes))) as client:
        yield client
