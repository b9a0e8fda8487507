"""The real app on a real Valkey, a client that holds every answer against the OpenAPI document, and a worker's hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import ApiSettings, create_app
from ledger import Keys, Lease, Ledger, runs
from tests.api.answers import assert_declared
from tests.ledger import playing


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
        playing.enroll(ledger)

    def claim(self) -> Lease:
        return playing.claimed(self._ledger)

    def report(self, lease: Lease, sequence: int, *, point: str = "", **fields: str) -> None:
        self._ledger.run(runs.report(lease, sequence, lease_ms=60_000, fields=fields, point=point))

    def settle(self, lease: Lease, ending: runs.Ending) -> None:
        playing.settle(self._ledger, lease, ending)


@pytest.fixture
def worker(ledger: Ledger) -> Worker:
    return Worker(ledger)
