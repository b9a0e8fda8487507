"""What pages of other sites have a browser send: to a server without keys it would come from anybody who may do all."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from api import ApiSettings, create_app
from ledger import Ledger
from tests.api.answers import assert_problem
from tests.api.callers import key, server

CHANGES = ["/jobs/cancel?all=true", "/jobs/{}/cancel", "/jobs/{}/pause", "/jobs/{}/retry", "/workers/w1/drain"]
OTHER = "https://evil.example"


@pytest.fixture
def job_id(http: httpx2.Client) -> str:
    return http.post("/jobs", json={"dataset": "digits"}).json()["id"]


@pytest.fixture
def at_home(settings: ApiSettings) -> Iterator[httpx2.Client]:
    """A client of a server that it reaches on loopback."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:1"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing_where_there_are_no_keys(
    http: httpx2.Client, job_id: str, headers: dict[str, str]
) -> None:
    for path in CHANGES:
        assert_problem(http.post(path.format(job_id), headers=headers), 403, "cross-site-refused")
    problem = assert_problem(http.delete(f"/jobs/{job_id}", headers=headers), 403, "cross-site-refused")

    assert "LOWLAND_CORS_ORIGINS" in problem["detail"]
    assert http.get(f"/jobs/{job_id}", headers=headers).json()["status"] == "queued"


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://testserver"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_page_of_ours_and_what_is_no_browser_may(http: httpx2.Client, job_id: str, headers: dict[str, str]) -> None:
    assert http.post(f"/jobs/{job_id}/cancel", headers=headers).status_code == 200


@pytest.mark.parametrize("origins", [[OTHER], ["*"]])
def test_a_page_of_an_origin_that_the_settings_name_may(settings: ApiSettings, job_id: str, origins: list[str]) -> None:
    with server(settings, cors_origins=origins) as http:
        answer = http.post(f"/jobs/{job_id}/cancel", headers={"Origin": OTHER, "Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 200


def test_who_shows_a_key_may_from_anywhere(http: httpx2.Client, ledger: Ledger) -> None:
    """No page can make a browser show a key that the page has not."""
    answer = http.post("/jobs", json={"dataset": "digits"}, headers={**key(ledger), "Origin": OTHER})

    assert answer.status_code == 201


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000"])
def test_a_server_on_loopback_is_asked_by_loopbacks_names(at_home: httpx2.Client, host: str) -> None:
    assert at_home.get("/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "[::1", "192.168.0.1", ""])
def test_by_another_name_it_is_not_reached_without_a_key(at_home: httpx2.Client, host: str) -> None:
    """A name that another site's page has turned to this machine makes that page one of the same origin."""
    for method, path in [("POST", "/jobs/cancel?all=true"), ("GET", "/session")]:
        assert_problem(at_home.request(method, path, headers={"Host": host}), 403, "cross-site-refused")
    problem = assert_problem(at_home.get("/jobs", headers={"Host": host}), 403, "cross-site-refused")

    assert "LOWLAND_ALLOWED_HOSTS" in problem["detail"]
    assert at_home.get("/healthz", headers={"Host": host}).status_code == 200


def test_with_keys_it_is_reached_by_any_name(at_home: httpx2.Client, ledger: Ledger) -> None:
    assert at_home.get("/jobs", headers={"Host": "lab.example.org", **key(ledger)}).status_code == 200


@pytest.mark.parametrize("allowed", ["lab.example.org, other.example.org", "*"])
def test_the_settings_name_others(settings: ApiSettings, allowed: str) -> None:
    named = ApiSettings.model_validate(settings.model_dump() | {"allowed_hosts": allowed})
    with TestClient(create_app(named), base_url="http://127.0.0.1:8000") as client:
        assert client.get("/jobs", headers={"Host": "Lab.example.org:8000"}).status_code == 200


@pytest.mark.parametrize("hosts", ["https://lab.example.org", "lab.example.org:8000", "a/b"])
def test_what_is_no_host_is_refused(hosts: str) -> None:
    with pytest.raises(ValidationError, match="is no host"):
        ApiSettings.model_validate({"allowed_hosts": hosts})
