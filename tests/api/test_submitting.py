"""POST /jobs: what is taken, and how everything else is refused."""

import json
from typing import Any

import httpx2
import pytest

from lowland.spec import JobSpec
from lowland.spec.resource import Job
from tests.api.answers import assert_problem
from tests.api.conftest import Worker

JSON = {"content-type": "application/json"}


def test_a_short_spec_is_queued_with_every_default_filled_in(http: httpx2.Client) -> None:
    response = http.post("/jobs", json={"dataset": "digits", "sam": "SAM", "name": "first"})

    assert response.status_code == 201
    job = Job.model_validate_json(response.content)
    assert response.headers["location"] == f"/jobs/{job.id}" == job.links.self
    assert job.spec == JobSpec.parse({"dataset": "digits", "sam": "sam", "name": "first"})
    assert (job.status, job.terminal, job.attempt, job.artifacts) == ("queued", False, 0, [])
    assert http.get(f"/jobs/{job.id}").json() == response.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b'{"dataset": "digits", "sam": {"rho": 1e999}}', "sam.rho", id="beyond a double"),
        pytest.param(b'{"dataset": "digits", "epochs": 1%s}' % (b"0" * 5000), "epochs", id="5001 digits"),
    ],
)
def test_a_number_that_nothing_can_hold_is_refused_by_field(http: httpx2.Client, body: bytes, field: str) -> None:
    response = http.post("/jobs", content=body, headers={"content-type": "application/json"})

    problem = assert_problem(response, 422, "spec-invalid")
    assert [mistake["field"] for mistake in problem["errors"]] == [field]


def test_the_spec_of_a_job_can_be_posted_again(http: httpx2.Client) -> None:
    first = http.post("/jobs", json={"dataset": "kmnist", "optimizer": {"name": "adamw", "betas": [0.8, 0.9]}}).json()

    second = http.post("/jobs", json=first["spec"]).json()

    assert second["spec"] == first["spec"]
    assert second["id"] > first["id"]


def test_a_spec_in_utf_8_keeps_its_letters(http: httpx2.Client) -> None:
    body = '\ufeff{"dataset": "digits", "name": "ρ = 0,05 🏔"}'.encode()

    response = http.post("/jobs", content=body, headers={"content-type": "application/json; charset=utf-8"})

    assert response.json()["spec"]["name"] == "ρ = 0,05 🏔"


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        pytest.param({"dataset": "digits", "epcohs": 3}, "epcohs", 'did you mean "epochs"', id="unknown field"),
        pytest.param({"dataset": "digits", "sam": {"rhoo": 1}}, "sam.rhoo", 'did you mean "rho"', id="unknown, nested"),
        pytest.param({"dataset": "digits", "epochs": "3"}, "epochs", 'epochs is "3"; give an integer', id="wrong type"),
        pytest.param({"dataset": "digits", "sam": {"rho": -0.1}}, "sam.rho", "give a number >= 0", id="negative rho"),
        pytest.param({"dataset": "kminst"}, "dataset", 'did you mean "kmnist"', id="near miss"),
        pytest.param({"dataset": None}, "dataset", "give either dataset or function", id="no task"),
        pytest.param([{"dataset": "digits"}], "", "give an object", id="array"),
        pytest.param("digits", "", "give an object", id="string"),
        pytest.param(None, "", "give an object", id="null"),
        pytest.param({"dataset": "digits", "name": "a\nb"}, "name", "give one line of text", id="line break"),
        pytest.param({"dataset": "digits", "name": "\ud800"}, "name", "name is", id="half a character"),
        pytest.param({"dataset": "digits", "seed": 10**290}, "seed", "give a number <", id="huge integer"),
        pytest.param({"dataset": "digits", "sharpness": {}}, "sharpness", "not supported yet", id="later feature"),
    ],
)
def test_a_wrong_spec_is_refused_by_field(http: httpx2.Client, spec: Any, field: str, said: str) -> None:
    response = http.post("/jobs", content=json.dumps(spec), headers=JSON)

    problem = assert_problem(response, 422, "spec-invalid")
    [mistake] = problem["errors"]
    assert mistake["field"] == field
    assert said in mistake["detail"]
    assert problem["detail"] == mistake["detail"]
    assert_nothing_queued(http)


def test_all_mistakes_are_named_at_once(http: httpx2.Client) -> None:
    response = http.post("/jobs", json={"dataset": "digits", "epochs": 0, "sam": {"rho": "big"}, "seed": 1.5})

    problem = assert_problem(response, 422, "spec-invalid")
    assert [(mistake["field"], mistake["value"]) for mistake in problem["errors"]] == [
        ("sam.rho", "big"),
        ("epochs", 0),
        ("seed", 1.5),
    ]
    assert problem["detail"] == problem["errors"][0]["detail"] + " (more mistakes are listed in errors)"


def test_countless_mistakes_are_counted_and_a_few_listed(http: httpx2.Client) -> None:
    response = http.post("/jobs", json={"dataset": "digits"} | {f"field{i}": i for i in range(300)})

    problem = assert_problem(response, 422, "spec-invalid")
    assert len(problem["errors"]) == 21
    assert problem["errors"][-1]["detail"] == "and 280 more mistakes"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "the body is empty", id="empty"),
        pytest.param(b" \n ", "the body is empty", id="blank"),
        pytest.param(b'{"dataset": "digits"', "line 1, column 21", id="cut off"),
        pytest.param(b'{"dataset": "digits",\n "epochs": }', "line 2, column 12", id="malformed"),
        pytest.param(b"{'dataset': 'digits'}", "line 1, column 2", id="Python, not JSON"),
        pytest.param(b'{"dataset": "digits"} x', "line 1, column 23", id="more than one document"),
        pytest.param(b'{"name": "\xff"}', "byte 10 of the body is not UTF-8", id="not UTF-8"),
        pytest.param('{"dataset": "digits"}'.encode("utf-16"), "is not UTF-8", id="UTF-16"),
        pytest.param(b'{"sam": {"rho": NaN}}', "NaN is no JSON", id="NaN"),
        pytest.param(b'{"sam": {"p": -Infinity}}', "-Infinity is no JSON", id="Infinity"),
        pytest.param(b'{"epochs": 1, "epochs": 2}', '"epochs" stands twice', id="key twice"),
        pytest.param(b'{"name": ' * 33 + b"1" + b"}" * 33, "nested more than 32 levels", id="nested"),
        pytest.param(b"[" * 200_000, "nested more than 32 levels", id="nested without end"),
    ],
)
def test_a_body_that_is_no_json_is_refused_by_place(http: httpx2.Client, body: bytes, said: str) -> None:
    response = http.post("/jobs", content=body, headers=JSON)

    problem = assert_problem(response, 400, "body-malformed")
    assert said in problem["detail"]
    assert_nothing_queued(http)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml", ""])
def test_another_content_type_is_refused(http: httpx2.Client, content_type: str) -> None:
    response = http.post("/jobs", content=b'{"dataset": "digits"}', headers={"content-type": content_type})

    problem = assert_problem(response, 415, "content-type-unsupported")
    assert "send application/json" in problem["detail"]
    assert_nothing_queued(http)


def test_a_large_body_is_refused(http: httpx2.Client) -> None:
    response = http.post("/jobs", content=b'{"name": "%s"}' % (b"x" * 5_000_000), headers=JSON)

    problem = assert_problem(response, 413, "body-too-large")
    assert "1048576 bytes" in problem["detail"]
    assert_nothing_queued(http)


def test_a_parameter_that_is_not_known_is_refused_and_not_ignored(http: httpx2.Client) -> None:
    dry_run = http.post("/jobs?dryrun=true", json={"dataset": "digits"})

    problem = assert_problem(dry_run, 422, "parameters-invalid")
    assert 'did you mean "dry_run"' in problem["detail"]
    assert_nothing_queued(http)


def assert_nothing_queued(http: httpx2.Client) -> None:
    assert http.get("/jobs").json() == {"jobs": [], "next": None}


def test_a_job_to_start_from_has_to_be_known_and_have_weights(http: httpx2.Client) -> None:
    origin = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    unknown = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"

    for job, problem in ((unknown, "is not known"), (origin, "has no weights")):
        response = http.post("/jobs", json={"dataset": "digits", "model": {"init_from": {"job": job}}})

        document = assert_problem(response, 422, "spec-invalid")
        detail = f'model.init_from.job is "{job}", which {problem}; give a job that has succeeded'
        assert document["errors"] == [{"field": "model.init_from.job", "value": job, "detail": detail}]


def test_a_job_can_start_from_another_s_weights(http: httpx2.Client, worker: Worker) -> None:
    origin = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    lease = worker.claim()
    artifact = {"name": "model.safetensors", "size_bytes": 5, "sha256": "0" * 64, "media_type": "application/x-test"}
    worker.report(lease, 1, **{"artifact:model.safetensors": json.dumps({**artifact, "token": lease.token})})

    response = http.post("/jobs", json={"dataset": "digits", "model": {"init_from": {"job": origin}}})

    assert response.status_code == 201
    assert response.json()["spec"]["model"]["init_from"] == {"job": origin, "artifact": "best"}
