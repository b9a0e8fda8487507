"""Requests that meet no route, or none of their method."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.api.answers import assert_problem

SOME_ID = "0199f3a0-0000-7000-8000-000000000000"


@pytest.mark.parametrize("path", ["/", "/nope", "/jobs/", "/Jobs", f"/jobs/{SOME_ID}/", f"/jobs/{SOME_ID}/nope"])
def test_an_unknown_path_is_a_problem(http: httpx2.Client, path: str) -> None:
    assert_problem(http.get(path), 404, "nothing-here")
    assert_problem(http.post(path, json={}), 404, "nothing-here")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/jobs", {"GET", "POST"}),
        ("PUT", f"/jobs/{SOME_ID}", {"DELETE", "GET"}),
        ("GET", f"/jobs/{SOME_ID}/cancel", {"POST"}),
        ("POST", "/healthz", {"GET"}),
    ],
)
def test_a_wrong_method_says_which_there_are(http: httpx2.Client, method: str, path: str, allowed: set[str]) -> None:
    response = http.request(method, path)

    assert_problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == allowed


def test_documentation_is_where_it_is_looked_for(http: httpx2.Client) -> None:
    assert http.get("/docs").status_code == 200
    assert http.get("/openapi.json").json()["info"]["title"] == "Lowland"


def test_parameters_where_there_are_none_are_refused(http: httpx2.Client) -> None:
    for path in (f"/jobs/{SOME_ID}?wait=3", f"/jobs/{SOME_ID}/artifacts/model?x"):
        assert_problem(http.get(path), 422, "parameters-invalid")


def test_a_mistake_of_ours_is_a_problem_too(app: FastAPI) -> None:
    """Nothing of the error itself reaches the caller. The app is broken by taking its ledger away."""
    with TestClient(app, raise_server_exceptions=False) as client:
        del app.state.ledger

        problem = assert_problem(client.get("/jobs"), 500, "internal-error")

    assert "AttributeError" not in problem["detail"]
