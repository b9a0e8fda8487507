"""The examples of the OpenAPI document are what the server would say, and contradict neither it nor themselves."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from api.examples import VALUES
from api.problems import KINDS
from lowland.spec import JobSpec, Status
from lowland.spec.estimate import estimate, training_samples
from lowland.spec.warnings import unusual
from tests.api.test_openapi import bodies, examples_of, operations

Example = dict[str, Any]

#: Of no route, of any, or answered where nobody listens any more.
NOT_DECLARED = {"nothing-here", "method-not-allowed", "internal-error", "ledger-unusable", "body-incomplete"}


@pytest.fixture
def shown(document: dict[str, Any]) -> list[Any]:
    """Every example of a body."""
    found = [*document["components"]["examples"].values()]
    inline = [example for _, content in bodies(document) for example in (content.get("example"),) if example]
    return [each["value"] for each in found] + inline


def objects(node: Any) -> Iterator[Example]:
    if isinstance(node, Mapping):
        yield dict(node)
    for part in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from objects(part)


def having(node: Any, *names: str) -> list[Example]:
    """The objects that have all of these; there are some."""
    found = [each for each in objects(node) if each.keys() >= set(names)]
    assert found
    return found


def test_jobs_agree_with_themselves(shown: list[Any]) -> None:
    for job in having(shown, "status", "terminal", "spec"):
        status, spec, done = Status(job["status"]), JobSpec.parse(job["spec"]), job["progress"]
        attempt = job["attempts"][-1]
        assert job["terminal"] == status.terminal == (job["finished_at"] is not None)
        assert (job["queue"] is not None) == (status == "queued")
        assert job["created_at"] <= job["started_at"] <= job["finished_at"]
        assert (job["attempt"], job["worker"], job["device"]) == tuple(
            attempt[name] for name in ("attempt", "worker", "device")
        )
        assert (attempt["started_at"], attempt["ended_at"]) == (job["started_at"], job["finished_at"])
        assert attempt["outcome"] == status
        assert job["objective"]["value"] == job["metrics"][job["objective"]["name"]] == job["accuracy"]
        assert job["objective"]["best"] == job["best_accuracy"] >= job["accuracy"]
        assert spec.dataset
        samples = training_samples(spec.dataset) or 0
        a_pass = math.ceil((samples - round(samples * spec.dataset.validation_fraction)) / spec.batch_size)
        assert (done["epoch"], done["epochs"]) == (spec.epochs, spec.epochs)
        assert (done["step"], done["steps"], done["fraction"]) == (spec.epochs * a_pass, spec.epochs * a_pass, 1.0)
        for artifact in job["artifacts"]:
            assert artifact["href"] == f"{job['links']['self']}/artifacts/{artifact['name']}"
            assert artifact["size_bytes"] > 4 * (estimate(spec).parameters or 0)


def test_a_dry_run_warns_of_its_own_spec(shown: list[Any]) -> None:
    for run in having(shown, "warnings", "estimate"):
        spec = JobSpec.parse(run["spec"])
        assert run["warnings"] == [advice.model_dump(mode="json") for advice in unusual(spec)] != []
        assert run["estimate"]["seconds"] > 0
        assert run["estimate"] == {**run["estimate"], **estimate(spec).model_dump()}


def test_deliveries_agree_with_themselves(shown: list[Any]) -> None:
    for told in having(shown, "deliveries"):
        assert (told["disabled_at"] is None) == (told["disabled_reason"] is None)
        for one in told["deliveries"]:
            assert one["event"] in told["events"]
            assert (one["delivered_at"] is not None) == (one["state"] == "delivered")
            assert (one["next_attempt_at"] is not None) == (one["state"] == "pending")
            assert one["state"] != "delivered" or 200 <= one["response_status"] < 300
            assert Status(one["status"]).terminal == (one["event"] == "finished")
            assert re.fullmatch(rf"[0-9a-f-]{{36}}\.{one['event']}\.\d{{13}}", one["id"])


def test_workers_count_their_free_devices(shown: list[Any]) -> None:
    for worker in having(shown, "devices", "free"):
        assert worker["free"] == sum(device["job"] is None for device in worker["devices"])
        assert all((device["job"] is None) == (device["since"] is None) for device in worker["devices"])


def test_names_are_made_as_the_server_makes_them(shown: list[Any]) -> None:
    for series in having(shown, "points", "last"):
        assert series["last"] == series["points"][-1]["id"]
        assert set(series["names"]) == {name for point in series["points"] for name in point["values"]}
        assert all(re.fullmatch(rf"{point['token']}-\d+", point["id"]) for point in series["points"])
    for one in having(shown, "token", "sha256"):
        assert re.fullmatch(rf"checkpoint-\d{{5}}-{one['step']:09d}\.pt", one["name"])
    for entry in having(shown, "action", "key_id"):
        assert re.fullmatch(r"key_[0-9a-f]{12}", entry["key_id"])


def test_a_session_has_a_token_and_an_end_only_where_it_was_opened(document: dict[str, Any]) -> None:
    opened, asked = (
        next(content for where, content in bodies(document) if where == f"{method} /session 200")
        for method in ("post", "get")
    )

    [session], [again] = [opened["example"]], examples_of(asked, document)

    assert session["expires_at"]
    assert again["expires_at"] is None
    assert all(re.fullmatch("[0-9a-f]{64}", one["csrf_token"]) for one in (session, again))


def test_no_example_is_only_what_its_schema_says(shown: list[Any]) -> None:
    assert not [each for each in objects(shown) if "text" in each.values()]


def test_every_value_that_is_given_by_name_is_shown(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = {f"{model}.{name}" for model, schema in schemas.items() for name in schema.get("properties", {})}
    anywhere = {name for each in objects(document) for name in each.get("properties", {})}

    assert VALUES.keys() <= fields | anywhere


def test_problems_are_told_of_where_they_happen(document: dict[str, Any]) -> None:
    for kind in KINDS.values():
        problem = document["components"]["examples"][kind.slug]["value"]
        assert problem["detail"] != problem["title"]
        if kind.slug not in NOT_DECLARED:
            told = {
                re.sub(r"\{\w+\}", "[^/]+", path)
                for _, path, operation in operations(document)
                for answer in operation["responses"].values()
                for content in answer.get("content", {}).values()
                if kind.slug in content.get("examples", {})
            }
            assert any(re.fullmatch(path, problem["instance"]) for path in told), kind.slug
        assert problem.get("job_status") not in problem.get("allowed_from", ["none"])
        assert [error["detail"] for error in problem.get("errors", [])] in ([], [problem["detail"]])


@pytest.mark.parametrize(
    ("slug", "method", "sent"),
    [
        ("spec-invalid", "POST", {"json": {"dataset": "digits", "sam": {"variant": "sam", "rho": -0.1}}}),
        ("parameters-invalid", "GET", {"params": {"limit": "0"}}),
        ("body-malformed", "POST", {"content": b'{"dataset": ', "headers": {"content-type": "application/json"}}),
        ("body-too-large", "POST", {"content": b" " * 1_048_577, "headers": {"content-type": "application/json"}}),
        ("content-type-unsupported", "POST", {"content": b"x", "headers": {"content-type": "text/plain"}}),
        ("nothing-here", "GET", {}),
        ("method-not-allowed", "PUT", {}),
        ("job-not-found", "GET", {}),
        ("worker-not-found", "POST", {}),
    ],
)
def test_problems_are_what_the_server_answers(
    document: dict[str, Any], http: httpx2.Client, slug: str, method: str, sent: dict[str, Any]
) -> None:
    example = document["components"]["examples"][slug]["value"]

    answer = http.request(method, example["instance"], **sent).json()

    assert {**answer, "request_id": example["request_id"]} == example
