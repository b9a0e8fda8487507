"""Reading answers, also those of a newer server."""

import json
from typing import Any

import httpx2
import pytest

from api.problems import KINDS, TYPE_PREFIX
from lowland import errors
from lowland.client import answers
from lowland.client.answers import Answer, failure, read
from lowland.errors import LowlandError, RequestFailed, ServerUnavailable
from lowland.spec.resource import Job, JobPage
from lowland.spec.sam import Friendly, RhoSchedule

URL = "http://lowland"


@pytest.fixture
def document(server: str) -> dict[str, Any]:
    """A job as a server shows it."""
    return httpx2.post(f"{server}/jobs", json={"dataset": "digits", "name": "n", "sam": {"rho": 0.2}}).json()


def test_a_job_of_our_time_is_read_whole(document: dict[str, Any]) -> None:
    job = read(Job, json.dumps(document).encode())

    assert job == Job.model_validate(document)
    assert job.model_dump(mode="json") == document


def test_an_unknown_status_is_kept_as_it_came(document: dict[str, Any]) -> None:
    document |= {"status": "archived", "terminal": True, "requested": "archive", "shelf": 7}

    job = read(Job, json.dumps(document).encode())

    assert (job.status, job.terminal, job.requested) == ("archived", True, "archive")
    assert not hasattr(job, "shelf")
    assert job.spec.name == "n"


def test_unknown_parts_of_a_spec_do_not_hide_the_known_ones(document: dict[str, Any]) -> None:
    document["spec"] |= {"moon_phase": "full", "model": {"name": "vit", "patch": 4}}
    document["spec"]["sam"] |= {"wobble": 0.5}

    spec = read(Job, json.dumps(document).encode()).spec

    assert (spec.name, spec.dataset, spec.epochs) == ("n", Job.model_validate(original(document)).spec.dataset, 20)
    assert spec.sam.variant == "sam"
    assert spec.sam.rho == 0.2
    assert not hasattr(spec.sam, "wobble")
    assert spec.model == {"name": "vit", "patch": 4}


def test_fields_with_another_name_in_json_are_read_beside_unknown_ones(document: dict[str, Any]) -> None:
    document["spec"]["sam"] = {
        "variant": "friendly",
        "lmbda": 0.5,
        "active": {"from": 0.5, "until": 0.9, "every": 1, "moon": "new"},
        "rho": {"schedule": "step", "value": 0.2, "end": 0.1},
    }

    sam = read(Job, json.dumps(document).encode()).spec.sam

    assert isinstance(sam, Friendly)
    assert isinstance(sam.rho, RhoSchedule)
    assert (sam.lmbda, sam.active.from_, sam.active.until) == (0.5, 0.5, 0.9)
    assert (sam.rho.schedule, sam.rho.value, sam.rho.end) == ("step", 0.2, 0.1)


def test_unknown_outcomes_do_not_hide_an_attempt(document: dict[str, Any]) -> None:
    attempt = {"worker": "w1", "device": "tpu:0", "started_at": document["created_at"], "ended_at": None}
    document["attempts"] = [
        {**attempt, "attempt": 1, "outcome": "migrated", "detail": None},
        {**attempt, "attempt": 2, "outcome": None, "detail": None},
    ]

    page = read(JobPage, json.dumps({"jobs": [document], "next": None}).encode())

    [first, second] = page.jobs[0].attempts
    assert (first.attempt, first.outcome, first.device) == (1, "migrated", "tpu:0")
    assert (second.attempt, second.outcome) == (2, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"id": "1"}', b"\xff"])
def test_what_is_no_job_is_no_job(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its message is the JSON reader's
        read(Job, body)


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[1]", b"{}", b"\xff"])
def test_an_error_that_is_no_problem_document_is_told_by_its_status(body: bytes) -> None:
    refused = failure(URL, Answer(status=418, headers={}, body=body))
    away = failure(URL, Answer(status=502, headers={}, body=body))

    assert isinstance(refused, RequestFailed)
    assert (refused.status, refused.slug, str(refused)) == (418, "", f"{URL} answered 418")
    assert isinstance(away, ServerUnavailable)


def test_every_error_of_ours_stands_for_a_problem_of_the_server() -> None:
    """The names of problems stand twice: here and in the API's table."""
    slugs = {kind.slug for kind in KINDS.values()}

    assert {*answers._NAMED, "spec-invalid"} <= slugs
    assert answers.TYPE_PREFIX == TYPE_PREFIX


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.slug) for kind in KINDS.values()])
def test_every_problem_of_the_server_is_an_error(kind: Any) -> None:
    document = {
        "type": TYPE_PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": "what happened",
        "errors": [{"field": "epochs", "value": 0, "detail": "what happened"}],
    }

    error = failure(URL, Answer(status=kind.status, headers={}, body=json.dumps(document).encode()))

    assert isinstance(error, LowlandError)
    assert "what happened" in str(error)
    if named := getattr(errors, "".join(word.capitalize() for word in kind.slug.split("-")), None):
        assert type(error) is named


def original(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what `test_unknown_parts_of_a_spec...` has put in."""
    spec = {name: value for name, value in document["spec"].items() if name not in {"moon_phase", "model"}}
    sam = {name: value for name, value in spec["sam"].items() if name != "wobble"}
    return {**document, "spec": {**spec, "sam": sam}}


def test_mistakes_of_a_newer_server_are_read_as_far_as_they_can_be() -> None:
    document = {"type": TYPE_PREFIX + "spec-invalid", "detail": "no", "errors": [{"field": "epochs"}, 7]}
    without = {**document, "errors": "none"}

    error, vague = (
        failure(URL, Answer(status=422, headers={}, body=json.dumps(each).encode())) for each in (document, without)
    )

    assert isinstance(error, errors.SpecInvalid)
    assert [(mistake.field, mistake.value) for mistake in error.errors] == [("epochs", None)]
    assert (type(vague), str(vague)) == (RequestFailed, "no")
