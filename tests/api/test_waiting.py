"""GET /jobs/{id}: its ETag, and waiting for a change."""

import itertools
import threading
import time

import httpx2
import pytest

from ledger import Ledger, transitions
from lowland.spec import Event
from tests.api.conftest import Worker
from tests.ledger.playing import submit


def test_an_etag_holds_until_the_job_has_changed(http: httpx2.Client, worker: Worker) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    lease = worker.claim()
    first = http.get(f"/jobs/{job_id}")
    etag = first.headers["etag"]

    same = http.get(f"/jobs/{job_id}", headers={"if-none-match": etag})
    among_others = http.get(f"/jobs/{job_id}", headers={"if-none-match": f'"x", W/{etag}'})
    worker.report(lease, 1, accuracy="0.5")
    changed = http.get(f"/jobs/{job_id}", headers={"if-none-match": etag})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert among_others.status_code == 304
    assert (changed.status_code, changed.json()["accuracy"]) == (200, 0.5)
    assert changed.headers["etag"] != etag
    assert first.headers["cache-control"] == "private, no-cache"


def test_every_change_that_is_shown_changes_the_etag(http: httpx2.Client, worker: Worker) -> None:
    job_id = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    etags = [http.get(f"/jobs/{job_id}").headers["etag"]]

    def look() -> None:
        etags.append(http.get(f"/jobs/{job_id}").headers["etag"])

    lease = worker.claim()
    look()
    worker.report(lease, 1, accuracy="0.5")
    look()
    http.post(f"/jobs/{job_id}/pause")
    look()
    http.post(f"/jobs/{job_id}/resume")
    look()
    http.post(f"/jobs/{job_id}/cancel")
    look()
    worker.settle(lease, "stopped")
    look()
    http.post(f"/jobs/{job_id}/retry")
    look()

    assert all(one != other for one, other in itertools.pairwise(etags))


def test_a_waiting_job_s_place_is_never_out_of_date(http: httpx2.Client) -> None:
    first = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    second = http.post("/jobs", json={"dataset": "digits"}).json()["id"]
    etag = http.get(f"/jobs/{second}").headers["etag"]

    http.post(f"/jobs/{first}/cancel")
    moved = http.get(f"/jobs/{second}", headers={"if-none-match": etag})

    assert (moved.status_code, moved.json()["queue"]["position"]) == (200, 1)


def test_a_change_is_waited_for(http: httpx2.Client, worker: Worker, ledger: Ledger) -> None:
    job_id = submit(ledger)
    worker.claim()
    etag = http.get(f"/jobs/{job_id}").headers["etag"]
    later = threading.Timer(0.4, lambda: ledger.run(transitions.ask(job_id, Event.CANCEL)))
    later.start()

    began_at = time.monotonic()
    answer = http.get(f"/jobs/{job_id}", headers={"if-none-match": etag, "prefer": "respond-async, wait=30"})
    waited_s = time.monotonic() - began_at

    assert (answer.status_code, answer.json()["requested"]) == (200, "cancel")
    assert answer.headers["preference-applied"] == "wait=30"
    assert 0.3 < waited_s < 15
    later.join()


def test_what_does_not_change_is_answered_when_the_time_is_over(
    http: httpx2.Client, worker: Worker, ledger: Ledger
) -> None:
    job_id = submit(ledger)
    worker.claim()
    etag = http.get(f"/jobs/{job_id}").headers["etag"]

    with_etag = http.get(f"/jobs/{job_id}", headers={"if-none-match": etag, "prefer": "wait=1"})
    without = http.get(f"/jobs/{job_id}", headers={"prefer": "wait=1"})

    assert with_etag.status_code == 304
    assert (without.status_code, without.headers["etag"]) == (200, etag)


def test_what_has_changed_already_or_has_ended_is_not_waited_for(
    http: httpx2.Client, worker: Worker, ledger: Ledger
) -> None:
    job_id = submit(ledger)
    lease = worker.claim()
    began_at = time.monotonic()

    changed = http.get(f"/jobs/{job_id}", headers={"if-none-match": '"another"', "prefer": "wait=30"})
    worker.settle(lease, "succeeded")
    ended = http.get(f"/jobs/{job_id}", headers={"prefer": "wait=30"})
    again = http.get(f"/jobs/{job_id}", headers={"if-none-match": ended.headers["etag"], "prefer": "wait=30"})

    assert time.monotonic() - began_at < 15
    assert (changed.status_code, ended.status_code, again.status_code) == (200, 200, 304)
    assert changed.headers["retry-after"] == "1"
    assert "retry-after" not in ended.headers


@pytest.mark.parametrize(
    "prefer",
    ['wait="0"', "Wait=0", "wait = 0 ; strict", 'note="a, wait=9", wait=0, wait=9', '\t"x\\"",wait=0'],
)
def test_a_wait_is_read_as_rfc_7240_has_it(http: httpx2.Client, ledger: Ledger, prefer: str) -> None:
    answer = http.get(f"/jobs/{submit(ledger)}", headers={"prefer": prefer})

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=0")


@pytest.mark.parametrize(
    "prefer",
    [
        "wait",
        "wait=x",
        "return=minimal",
        "await=3",
        "x-wait=1",
        'note="wait=1"',
        'note="a, wait=1"',
        "respond-async; wait=1",
        'wait="1',
        "wait=1 2",
    ],
)
def test_other_preferences_are_passed_over(http: httpx2.Client, ledger: Ledger, prefer: str) -> None:
    answer = http.get(f"/jobs/{submit(ledger)}", headers={"prefer": prefer})

    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers
