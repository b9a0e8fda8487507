"""The real app on a real Valkey, a client that holds every answer against the OpenAPI document, and a worker's hand."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import ApiSettings, create_app
from ledger import Failure, Keys, Lease, Ledger, transitions
from tests.api.answers import assert_declared

FAILURE = Failure(type="engine-died", title="The engine died", detail="signal 9")


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> ApiSettings:
    return ApiSettings(redis_url=redis_url, redis_prefix=keys.prefix, artifact_dir=tmp_path)


@pytest.fixture
def app(settings: ApiSettings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document, as a reader gets it."""
    return json.loads(json.dumps(create_app(ApiSettings()).openapi()))


@pytest.fixture
def http(app: FastAPI, document: dict[str, Any]) -> Iterator[httpx2.Client]:
    """A client of the app; an answer that the OpenAPI document does not declare fails the test."""
    with TestClient(app) as client:
        client.event_hooks = {"response": [lambda response: assert_declared(response, document)]}
        yield client


class Worker:
    """Does to the ledger what a worker does, so that jobs reach every state."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.run(transitions.enroll(worker="w1", classes=["any", "cpu"], devices=["cpu:0"], failure=FAILURE))

    def claim(self) -> Lease:
        lease = self._ledger.run(
            transitions.claim(
                secrets.token_hex(8), worker="w1", bell="b1", lease_ms=60_000, classes=["any"], devices=["cpu:0"]
            )
        )
        assert lease is not None
        return lease

    def report(self, lease: Lease, sequence: int, **fields: str) -> None:
        self._ledger.run(transitions.report(lease, sequence, lease_ms=60_000, fields=fields))

    def settle(self, lease: Lease, outcome: transitions.Outcome) -> None:
        failure = FAILURE if outcome == "failed" else None
        self._ledger.run(transitions.settle(lease, outcome, failure=failure))


@pytest.fixture
def worker(ledger: Ledger) -> Worker:
    return Worker(ledger)
