"""Behind a proxy's path, and for pages of other origins."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from api import ApiSettings, create_app

PAGE = "https://lab.example.org"
#: Headers that are for the browser or for proxies, or that every page may read.
FOR_THE_BROWSER = {
    "Accept-Ranges",
    "Content-Disposition",
    "Last-Modified",
    "Set-Cookie",
    "WWW-Authenticate",
    "X-Accel-Buffering",
    "X-Content-Type-Options",
}


@contextmanager
def api(settings: ApiSettings, **said: object) -> Iterator[httpx2.Client]:
    with TestClient(create_app(ApiSettings.model_validate(settings.model_dump() | said))) as http:
        yield http


@pytest.mark.parametrize("stripped", [True, False], ids=["the proxy strips the prefix", "the proxy keeps it"])
def test_headers_carry_the_prefix_and_bodies_do_not(settings: ApiSettings, stripped: bool) -> None:
    asked = "" if stripped else "/lowland"
    with api(settings, root_path="/lowland") as http:
        made = [http.post(f"{asked}/jobs", json={"dataset": "digits"}) for _ in range(2)][-1]
        page = http.get(f"{asked}/jobs?limit=1")
        job = made.json()

        assert made.headers["location"] == f"/lowland/jobs/{job['id']}"
        assert page.headers["link"].startswith("</lowland/jobs?limit=1&cursor=")
        assert job["links"]["self"] == f"/jobs/{job['id']}"
        assert http.get(f"{asked}{job['links']['self']}").json()["id"] == job["id"]
        assert http.get(f"{asked}/openapi.json").json()["servers"] == [{"url": "/lowland"}]


def test_routes_are_counted_without_the_prefix(settings: ApiSettings) -> None:
    with api(settings, root_path="/lowland") as http:
        http.get("/lowland/jobs")

        assert 'lowland_http_requests_total{method="GET",route="/jobs",status="200"} 1.0' in http.get("/metrics").text


def test_without_a_setting_pages_of_other_origins_are_told_nothing(http: httpx2.Client) -> None:
    answer = http.get("/jobs", headers={"origin": PAGE})

    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_of_a_named_origin_may_use_the_api(settings: ApiSettings) -> None:
    headers = {"access-control-request-method": "POST", "access-control-request-headers": "idempotency-key"}
    with api(settings, cors_origins=f"{PAGE}, http://localhost:3000") as http:
        asked = http.options("/jobs", headers={"origin": PAGE, **headers})
        answer = http.get("/nowhere", headers={"origin": PAGE})
        other = http.get("/jobs", headers={"origin": "https://elsewhere.example.org"})

    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "idempotency-key" in asked.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers


def test_they_may_read_every_header_that_says_something_to_them(
    settings: ApiSettings, document: dict[str, Any]
) -> None:
    answers = [
        answer
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for answer in operation["responses"].values()
    ]
    said = {name for answer in answers for name in answer.get("headers", {})}
    with api(settings, cors_origins=PAGE) as http:
        exposed = http.get("/jobs", headers={"origin": PAGE}).headers["access-control-expose-headers"].split(", ")

    assert said - set(exposed) == FOR_THE_BROWSER


@pytest.mark.parametrize("origins", ["lab.example.org", "https://lab.example.org/", "https://*.example.org"])
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        ApiSettings.model_validate({"cors_origins": origins})


@pytest.mark.parametrize("prefix", ["lowland", "/lowland/", "/a b", '/"'])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(root_path=prefix)
