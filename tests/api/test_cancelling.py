"""POST /jobs/{id}/cancel."""

import httpx2
import pytest

from ledger import runs
from tests.api.answers import assert_problem
from tests.api.conftest import Worker


def test_a_queued_job_is_cancelled_at_once_and_only_once(http: httpx2.Client) -> None:
    job_id = submit(http)

    first = http.post(f"/jobs/{job_id}/cancel")
    again = http.post(f"/jobs/{job_id}/cancel")

    assert (first.status_code, first.json()["status"], first.json()["terminal"]) == (200, "cancelled", True)
    assert again.json() == first.json() == http.get(f"/jobs/{job_id}").json()


def test_a_running_job_is_asked_to_stop(http: httpx2.Client, worker: Worker) -> None:
    job_id = submit(http)
    worker.claim()

    job = http.post(f"/jobs/{job_id}/cancel").json()

    assert (job["status"], job["requested"]) == ("running", "cancel")


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_job_that_has_ended_says_which_states_allow_it(
    http: httpx2.Client, worker: Worker, outcome: runs.Ending
) -> None:
    job_id = submit(http)
    worker.settle(worker.claim(), outcome)

    problem = assert_problem(http.post(f"/jobs/{job_id}/cancel"), 409, "event-refused")

    assert (problem["job_status"], problem["allowed_from"]) == (outcome, ["queued", "paused", "running"])
    assert f"is {outcome}" in problem["detail"]


def submit(http: httpx2.Client) -> str:
    return http.post("/jobs", json={"dataset": "digits"}).json()["id"]
