"""What every answer of the API must look like."""

import re
from typing import Any

import httpx2


def assert_declared(response: httpx2.Response, document: dict[str, Any]) -> None:
    """The OpenAPI document knows this status and media type of this operation, if it knows the operation."""
    for template, operations in document["paths"].items():
        operation = operations.get(response.request.method.lower())
        if operation and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), response.request.url.path):
            declared = operation["responses"].get(str(response.status_code))
            assert declared is not None, f"{response.request.method} {template} answered {response.status_code}"
            if response.status_code in {204, 304}:  # without a body
                return
            media_type = response.headers["content-type"].partition(";")[0]
            assert {media_type, "*/*"} & declared["content"].keys(), f"{template} answered {media_type}"


def assert_problem(response: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """The answer is a whole problem document of this kind; gives it."""
    assert response.headers["content-type"] == "application/problem+json"
    if response.request.method == "HEAD":  # without a body
        assert response.status_code == status
        return {}
    problem = response.json()
    assert (response.status_code, problem["type"]) == (status, f"urn:lowland:problem:{slug}"), problem
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == response.request.url.path
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem
