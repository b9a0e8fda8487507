"""GET /jobs/{id}/artifacts, and GET and HEAD of one of them."""

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api import ApiSettings
from ledger.store import run_folder
from tests.api.answers import assert_problem
from tests.api.conftest import Worker

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
REPR_DIGEST = f"sha-256=:{b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


@pytest.fixture
def weights(http: httpx2.Client, worker: Worker, settings: ApiSettings) -> Path:
    """A file that a job has made and the ledger names."""
    http.post("/jobs", json={"dataset": "digits"})
    lease = worker.claim()
    folder = run_folder(settings.artifact_dir, lease.job_id, lease.token)
    folder.mkdir(parents=True)
    file = folder / "model.safetensors"
    file.write_bytes(CONTENT)
    (folder / "unnamed.txt").write_text("not in the ledger")
    artifact = {"name": file.name, "size_bytes": len(CONTENT), "sha256": SHA256, "media_type": "application/x-weights"}
    worker.report(lease, 1, **{f"artifact:{file.name}": json.dumps({**artifact, "token": lease.token})})
    return file


@pytest.fixture
def href(http: httpx2.Client, weights: Path) -> str:
    [job] = http.get("/jobs").json()["jobs"]
    [artifact] = job["artifacts"]
    assert (artifact["size_bytes"], artifact["sha256"]) == (len(CONTENT), SHA256)
    return artifact["href"]


def identity(response: httpx2.Response) -> tuple[str, str]:
    """By what the whole file is known."""
    return response.headers["etag"], response.headers["repr-digest"]


def test_the_files_of_a_job_are_listed_as_the_job_says_them(http: httpx2.Client, href: str) -> None:
    path = href.removesuffix("/model.safetensors")

    assert http.get(path).json() == {
        "artifacts": [
            {
                "name": "model.safetensors",
                "size_bytes": len(CONTENT),
                "sha256": SHA256,
                "media_type": "application/x-weights",
                "href": href,
            }
        ]
    }


def test_a_job_that_has_made_nothing_has_an_empty_list(http: httpx2.Client) -> None:
    path = http.post("/jobs", json={"dataset": "digits"}).json()["links"]["self"]

    assert http.get(f"{path}/artifacts").json() == {"artifacts": []}
    assert_problem(http.get(f"{path}/artifacts?limit=1"), 422, "parameters-invalid")
    assert_problem(http.get("/jobs/no-id/artifacts"), 404, "job-not-found")


def test_a_file_is_sent_with_its_digest_type_and_name(http: httpx2.Client, href: str) -> None:
    response = http.get(href)

    assert (response.status_code, response.content) == (200, CONTENT)
    assert identity(response) == (ETAG, REPR_DIGEST)
    assert response.headers["content-type"] == "application/x-weights"
    assert response.headers["content-disposition"] == 'attachment; filename="model.safetensors"'


def test_a_range_is_sent_alone(http: httpx2.Client, href: str) -> None:
    response = http.get(href, headers={"range": "bytes=255990-", "if-range": ETAG})

    assert (response.status_code, response.content) == (206, CONTENT[-10:])
    assert response.headers["content-range"] == "bytes 255990-255999/256000"
    assert identity(response) == (ETAG, REPR_DIGEST)  # of the whole file


def test_several_ranges_are_sent_with_the_digest_of_the_whole(http: httpx2.Client, href: str) -> None:
    response = http.get(href, headers={"range": "bytes=0-1,10-11"})

    assert response.status_code == 206
    assert response.headers["content-type"].startswith("multipart/byteranges")
    assert identity(response) == (ETAG, REPR_DIGEST)


def test_a_range_of_another_version_of_the_file_is_sent_whole(http: httpx2.Client, href: str) -> None:
    response = http.get(href, headers={"range": "bytes=255990-", "if-range": '"0123"'})

    assert (response.status_code, response.content) == (200, CONTENT)
    assert identity(response) == (ETAG, REPR_DIGEST)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("named", [ETAG, f'"0123", W/{ETAG}', "*"])
def test_a_file_that_the_caller_has_is_not_sent_again(http: httpx2.Client, href: str, method: str, named: str) -> None:
    response = http.request(method, href, headers={"if-none-match": named, "range": "bytes=0-9"})

    assert (response.status_code, response.content) == (304, b"")
    assert identity(response) == (ETAG, REPR_DIGEST)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("asked", "status"),
    [({}, 200), ({"if-none-match": ETAG}, 304), ({"range": "bytes=0-9"}, 206)],
    ids=["whole", "known", "a range"],
)
def test_every_header_that_is_declared_is_there(
    http: httpx2.Client, href: str, document: dict[str, Any], method: str, asked: dict[str, str], status: int
) -> None:
    operation = document["paths"]["/jobs/{job_id}/artifacts/{name}"][method.lower()]

    response = http.request(method, href, headers=asked)

    assert response.status_code == (200 if method == "HEAD" and "range" in asked else status)
    declared = operation["responses"][str(response.status_code)]["headers"]
    assert {name.lower() for name in declared} <= set(response.headers)


def test_a_range_in_a_unit_that_nobody_knows_is_none(http: httpx2.Client, href: str) -> None:
    response = http.get(href, headers={"range": "bits=0-1"})

    assert (response.status_code, response.content) == (200, CONTENT)


def test_a_file_that_the_caller_has_another_version_of_is_sent(http: httpx2.Client, href: str) -> None:
    assert http.get(href, headers={"if-none-match": '"0123"'}).content == CONTENT


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-9"}, {"range": "bytes=x-y"}], ids=str)
def test_head_answers_as_get_does_without_the_file(http: httpx2.Client, href: str, headers: dict[str, str]) -> None:
    """Ranges are for GET alone."""
    whole = http.get(href)

    response = http.head(href, headers=headers)

    assert (response.status_code, response.content) == (200, b"")
    names = {"content-length", "content-type", "content-disposition", "accept-ranges", "etag", "repr-digest"}
    assert {name: response.headers[name] for name in names} == {name: whole.headers[name] for name in names}


def test_head_of_what_is_not_there_is_refused_as_get_is(http: httpx2.Client, href: str, weights: Path) -> None:
    assert_problem(http.head(href + "x"), 404, "artifact-not-found")
    assert_problem(http.head(href + "?x=1"), 422, "parameters-invalid")
    weights.unlink()
    assert_problem(http.head(href), 404, "artifact-lost")


@pytest.mark.parametrize("wanted", ["bytes=256000-", "bytes=9-3", "bytes", "bytes=x-y"])
def test_a_range_that_is_not_there_is_refused_as_a_problem(http: httpx2.Client, href: str, wanted: str) -> None:
    response = http.get(href, headers={"range": wanted})

    problem = assert_problem(response, 416, "range-unsatisfiable")
    assert response.headers["content-range"] == "bytes */256000"
    assert wanted in problem["detail"]


@pytest.mark.parametrize("name", ["unnamed.txt", "model", "%2e%2e", "model.safetensors%00", "C:%5Cx"])
def test_only_what_the_ledger_names_is_served(http: httpx2.Client, href: str, name: str) -> None:
    response = http.get(href.replace("model.safetensors", name))

    assert response.status_code == 404


def test_a_path_cannot_leave_the_store(http: httpx2.Client, href: str, settings: ApiSettings) -> None:
    (settings.artifact_dir / "secret").write_text("s")
    job_path = href.removesuffix("/artifacts/model.safetensors")

    for way in ("..%2F..%2F..%2F..%2Fsecret", "..%2Fsecret", "%2Fetc%2Fpasswd", "....//secret"):
        response = http.get(f"{job_path}/artifacts/{way}")

        assert_problem(response, 404, "nothing-here")


@pytest.mark.parametrize("damage", ["gone", "cut short", "a folder"])
def test_a_recorded_file_that_the_store_lost_is_a_problem(
    http: httpx2.Client, href: str, weights: Path, damage: str
) -> None:
    weights.unlink()
    if damage == "cut short":
        weights.write_bytes(CONTENT[:-1])
    if damage == "a folder":
        weights.mkdir()

    problem = assert_problem(http.get(href), 404, "artifact-lost")

    assert "LOWLAND_ARTIFACT_DIR" in problem["detail"]
