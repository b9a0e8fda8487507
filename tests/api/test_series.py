"""GET /jobs/{id}/metrics: which points, of which series, in which form."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api import ApiSettings
from ledger import Ledger, runs
from ledger.packing import RECORD_FILE
from ledger.store import job_folder
from tests.api.answers import assert_problem
from tests.api.conftest import Worker
from tests.ledger.archiving import archive, finished, retry, run_once
from tests.ledger.playing import claimed, settle, submit


def report(ledger: Ledger, *steps: int, ending: runs.Ending = "lost") -> str:
    """A run of the waiting job that reports these steps; gives the job's id."""
    lease = claimed(ledger)
    for sequence, step in enumerate(steps, 1):
        point = json.dumps({"epoch": step, "step": 10 * step, "loss": 1 / step, "accuracy": step / 100})
        ledger.run(runs.report(lease, sequence, lease_ms=60_000, fields={}, point=point))
    settle(ledger, lease, ending)
    return lease.job_id


def series(http: httpx2.Client, job_id: str, **parameters: Any) -> dict[str, Any]:
    answer = http.get(f"/jobs/{job_id}/metrics", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def epochs(found: dict[str, Any]) -> list[int]:
    return [point["epoch"] for point in found["points"]]


def test_points_are_given_in_order_with_all_series(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    job_id = report(ledger, 1, 2, 3)

    found = series(http, job_id)

    assert found["names"] == ["loss", "accuracy"]
    assert epochs(found) == [1, 2, 3]
    assert found["points"][1]["values"] == {"loss": 0.5, "accuracy": 0.02}
    assert (found["points"][1]["step"], found["points"][1]["token"]) == (20, 1)
    assert found["last"] == found["points"][-1]["id"]


def test_a_job_without_points_has_an_empty_series(http: httpx2.Client, ledger: Ledger) -> None:
    assert series(http, submit(ledger)) == {"names": [], "points": [], "last": None}


def test_what_came_since_a_point(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    job_id = report(ledger, 1, 2, 3)
    ids = [point["id"] for point in series(http, job_id)["points"]]

    assert epochs(series(http, job_id, since=ids[0])) == [2, 3]
    assert epochs(series(http, job_id, since=ids[2])) == []


def test_who_asks_again_and_again_goes_on_from_the_last_he_has(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    job_id = report(ledger, 1, 2, 3)
    last = series(http, job_id)["last"]

    again = series(http, job_id, since=last)

    assert again == {"names": [], "points": [], "last": last}


@pytest.mark.parametrize(
    ("most", "kept"), [(1, [9]), (2, [1, 9]), (3, [1, 5, 9]), (5, [1, 3, 5, 7, 9]), (100, [*range(1, 10)])]
)
def test_points_are_thinned_out_evenly(http: httpx2.Client, ledger: Ledger, most: int, kept: list[int]) -> None:
    submit(ledger)
    job_id = report(ledger, *range(1, 10))

    assert epochs(series(http, job_id, max_points=most)) == kept


def test_only_the_series_that_are_named(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    job_id = report(ledger, 1, 2)

    found = series(http, job_id, names="accuracy,other")

    assert found["names"] == ["accuracy", "other"]
    assert [point["values"] for point in found["points"]] == [{"accuracy": 0.01}, {"accuracy": 0.02}]


def test_as_csv(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    job_id = report(ledger, 1, 2)

    as_json = series(http, job_id)
    answer = http.get(f"/jobs/{job_id}/metrics", params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["step"], row["epoch"], row["loss"], row["accuracy"]) for row in rows] == [
        ("10", "1", "1.0", "0.01"),
        ("20", "2", "0.5", "0.02"),
    ]
    assert [row["at"] for row in rows] == [point["at"] for point in as_json["points"]]


@pytest.mark.parametrize(
    "later", [(3, 4), (1, 2), (4, 5)], ids=["from its checkpoint", "from the start", "from the end"]
)
def test_points_that_a_later_run_took_back_do_not_count(
    http: httpx2.Client, ledger: Ledger, later: tuple[int, ...]
) -> None:
    submit(ledger)
    report(ledger, 1, 2, 3)
    job_id = report(ledger, *later, ending="succeeded")

    assert epochs(series(http, job_id)) == [*range(1, later[0]), *later]
    assert epochs(series(http, job_id, superseded="true")) == [1, 2, 3, *later]


def test_a_finished_job_s_series_is_the_same_once_it_has_moved(
    http: httpx2.Client, ledger: Ledger, settings: ApiSettings
) -> None:
    job_id = finished(ledger)
    before = series(http, job_id)

    archive(ledger, settings.artifact_dir, job_id)

    assert epochs(before) == [1, 2]
    assert series(http, job_id) == before
    assert epochs(series(http, job_id, since=before["points"][0]["id"])) == [2]


def test_a_retried_job_s_series_holds_what_its_earlier_life_left(
    http: httpx2.Client, ledger: Ledger, settings: ApiSettings
) -> None:
    archive(ledger, settings.artifact_dir, job_id := finished(ledger))
    retry(ledger, job_id, from_checkpoint=True)
    run_once(ledger, "succeeded", epochs=1)

    assert epochs(series(http, job_id, superseded="true")) == [1, 2, 1]
    assert epochs(series(http, job_id)) == [1]


def test_a_record_that_is_lost_or_damaged_is_told(
    http: httpx2.Client, ledger: Ledger, settings: ApiSettings, worker: Worker
) -> None:
    archive(ledger, settings.artifact_dir, job_id := finished(ledger))
    record: Path = job_folder(settings.artifact_dir, job_id) / RECORD_FILE

    record.write_text("{")
    damaged = http.get(f"/jobs/{job_id}/metrics")
    record.unlink()
    lost = http.get(f"/jobs/{job_id}/metrics")

    for answer in (damaged, lost):
        assert "LOWLAND_ARTIFACT_DIR" in assert_problem(answer, 404, "history-lost")["detail"]


@pytest.mark.parametrize(
    ("parameters", "field", "said"),
    [
        ({"since": "x"}, "since", 'since is "x"; give the `last` of an earlier answer'),
        ({"max_points": "0"}, "max_points", "give a number >= 1"),
        ({"format": "xml"}, "format", 'give "json" or "csv"'),
        ({"name": "a"}, "name", 'did you mean "names"'),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(
    http: httpx2.Client, ledger: Ledger, parameters: dict[str, str], field: str, said: str
) -> None:
    answer = http.get(f"/jobs/{submit(ledger)}/metrics", params=parameters)

    (mistake,) = assert_problem(answer, 422, "parameters-invalid")["errors"]
    assert mistake["field"] == field
    assert said in mistake["detail"]


def test_what_came_since_a_point_that_the_ledger_still_has_takes_no_record(
    http: httpx2.Client, ledger: Ledger, settings: ApiSettings
) -> None:
    archive(ledger, settings.artifact_dir, job_id := finished(ledger))
    ids = [point["id"] for point in series(http, job_id)["points"]]

    (job_folder(settings.artifact_dir, job_id) / RECORD_FILE).unlink()

    assert epochs(series(http, job_id, since=ids[0])) == [2]
    assert epochs(series(http, job_id, since=ids[-1])) == []


def test_what_came_since_a_point_of_an_earlier_life(http: httpx2.Client, ledger: Ledger, settings: ApiSettings) -> None:
    archive(ledger, settings.artifact_dir, job_id := finished(ledger))
    first, *_ = [point["id"] for point in series(http, job_id)["points"]]
    retry(ledger, job_id)
    run_once(ledger, "succeeded", epochs=1)

    assert epochs(series(http, job_id, since=first, superseded="true")) == [2, 1]
