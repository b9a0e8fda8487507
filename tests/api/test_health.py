"""GET /healthz and GET /readyz, and what everything else says while Redis is away."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

import lowland
from api import ApiSettings, create_app
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.api.servers import redis_server
from tests.conftest import free_port

SECRET = "lowland_" + "s" * 40
SOME_ID = "0199f3a0-0000-7000-8000-000000000000"

READY = {"version": lowland.__version__, "redis": True}


@pytest.fixture
def redis_port() -> int:
    """Where no Redis listens yet."""
    return free_port()


@pytest.fixture
def http_without_redis(redis_port: int, tmp_path: Path) -> Iterator[httpx2.Client]:
    settings = ApiSettings(redis_url=f"redis://127.0.0.1:{redis_port}/0", artifact_dir=tmp_path)
    with TestClient(create_app(settings)) as client:
        yield client


def test_a_server_without_workers_is_ready(http: httpx2.Client) -> None:
    http.post("/jobs", json={"dataset": "digits"})

    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {
        "version": lowland.__version__,
        "redis": True,
        "workers": 0,
        "queued": 1,
        "running": 0,
    }


def test_live_workers_and_their_jobs_are_counted(http: httpx2.Client, worker: Worker) -> None:
    http.post("/jobs", json={"dataset": "digits"})
    worker.claim()

    assert http.get("/readyz").json() == {
        "version": lowland.__version__,
        "redis": True,
        "workers": 1,
        "queued": 0,
        "running": 1,
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/readyz"),
        ("GET", "/jobs"),
        ("POST", "/jobs"),
        ("GET", f"/jobs/{SOME_ID}"),
        ("POST", f"/jobs/{SOME_ID}/cancel"),
        ("GET", f"/jobs/{SOME_ID}/artifacts/model"),
    ],
)
def test_without_redis_everything_but_healthz_says_when_to_come_back(
    http_without_redis: httpx2.Client, method: str, path: str
) -> None:
    response = http_without_redis.request(method, path, json={"dataset": "digits"} if method == "POST" else None)

    assert_problem(response, 503, "ledger-unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert http_without_redis.get("/healthz").status_code == 200


def test_bad_input_of_a_key_from_the_environment_is_told_apart_while_redis_is_away(
    redis_port: int, tmp_path: Path
) -> None:
    """Who is known without asking Redis is told about its input first; of anybody else Redis must say who it is."""
    api_keys = SecretStr(f"ada:submit:{SECRET}")
    url = f"redis://127.0.0.1:{redis_port}/0"
    with TestClient(create_app(ApiSettings(redis_url=url, artifact_dir=tmp_path, api_keys=api_keys))) as http:
        headers = {"Authorization": f"Bearer {SECRET}"}

        assert_problem(http.post("/jobs", json={"dataset": "kminst"}, headers=headers), 422, "spec-invalid")
        assert_problem(http.post("/jobs", json={"dataset": "digits"}, headers=headers), 503, "ledger-unavailable")


def test_the_server_recovers_when_redis_comes_and_goes(http_without_redis: httpx2.Client, redis_port: int) -> None:
    for _ in range(2):
        assert http_without_redis.get("/readyz").status_code == 503

        with redis_server(redis_port):
            assert http_without_redis.get("/readyz").status_code == 200
            assert http_without_redis.post("/jobs", json={"dataset": "digits"}).status_code == 201
