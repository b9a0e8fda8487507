"""GET /metrics: what happened to real jobs, in the text form that Prometheus's own parser reads."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from api import ApiSettings
from api.metrics import METRICS
from ledger import Ledger, chores, runs
from tests.api.answers import assert_problem
from tests.api.callers import key, server
from tests.api.conftest import Worker
from tests.api.servers import redis_server
from tests.conftest import free_port
from tests.ledger.playing import LOST, claimed, enroll, machine, submit

Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.metrics.FRESH_S", 0.0)


def has_waited(ledger: Ledger, job_id: str, seconds: int) -> None:
    """Let a job that was just queued have waited for so long."""
    job = ledger.keys.key("job", job_id)
    queued_ms = int(str(ledger._client.hget(job, "queued_ms")))
    ledger._client.hset(job, "queued_ms", queued_ms - 1000 * seconds)


def scrape(http: httpx2.Client) -> dict[str, Samples]:
    """Every sample, by the metric's name and the values of its labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_metric_of_the_table_is_there_and_no_other(http: httpx2.Client, worker: Worker) -> None:
    http.get("/healthz")

    answer = http.get("/metrics")

    shown = {family.name: (family.type, family.documentation) for family in text_string_to_metric_families(answer.text)}
    created = {f"{metric.name.removesuffix('_total')}_created" for metric in METRICS}
    said = {metric.name.removesuffix("_total"): (metric.kind, metric.meaning) for metric in METRICS}
    assert {name: told for name, told in shown.items() if name not in created} == said


def test_a_fresh_ledger_is_all_zeros(http: httpx2.Client) -> None:
    seen = scrape(http)

    assert seen["lowland_ledger_up"] == {(): 1}
    assert set(seen["lowland_jobs"].values()) == {0}
    assert seen["lowland_queue_depth"] == {("any",): 0, ("cpu",): 0, ("cuda",): 0}
    assert seen["lowland_webhooks_total"] == {("done",): 0, ("failed",): 0, ("given_up",): 0}


def test_jobs_queues_and_slots_are_counted(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    enroll(ledger, offers=machine("cpu:0", "cpu:1", "cpu:2"))
    lease = claimed(ledger)
    progress = '{"epoch":1,"epochs":2,"step":5,"steps":10,"fraction":0.5,"eta_s":1.0,"samples_per_s":1234.5}'
    ledger.run(runs.report(lease, 1, lease_ms=60_000, fields={"progress": progress}))
    submit(ledger)
    submit(ledger, priority=9)
    has_waited(ledger, submit(ledger, resources={"device": "cuda"}), 20)

    seen = scrape(http)

    assert seen["lowland_jobs"][("queued",)] == 3
    assert seen["lowland_jobs"][("running",)] == 1
    assert seen["lowland_queue_depth"][("cuda",)] == 1
    assert sum(seen["lowland_queue_depth"].values()) == 3
    assert 20 <= seen["lowland_queue_oldest_seconds"][("cuda",)] < 80
    assert seen["lowland_worker_up"] == {("w1",): 1}
    assert seen["lowland_worker_draining"] == {("w1",): 0}
    assert (seen["lowland_worker_slots_used"], seen["lowland_worker_slots_free"]) == ({("w1",): 1}, {("w1",): 2})
    assert seen["lowland_training_samples_per_second"] == {("w1",): 1234.5}
    assert seen["lowland_leases"] == {(): 1}


def test_the_oldest_job_is_found_behind_younger_ones_of_higher_priority(http: httpx2.Client, ledger: Ledger) -> None:
    has_waited(ledger, submit(ledger, resources={"device": "cuda"}, priority=1), 20)
    submit(ledger, resources={"device": "cuda"}, priority=9)

    assert 20 <= scrape(http)["lowland_queue_oldest_seconds"][("cuda",)] < 80


def test_the_wait_of_each_claim_falls_into_a_bucket(http: httpx2.Client, ledger: Ledger) -> None:
    enroll(ledger, offers=machine("cpu:0", "cpu:1"))
    has_waited(ledger, submit(ledger, resources={"device": "cpu"}), 40)
    claimed(ledger)
    has_waited(ledger, submit(ledger, resources={"device": "cpu"}), 1000)
    claimed(ledger, runner="r2")

    seen = scrape(http)

    buckets = {
        bound: value for (name, bound), value in seen["lowland_claim_wait_seconds_bucket"].items() if name == "cpu"
    }
    assert (buckets["30.0"], buckets["60.0"], buckets["300.0"], buckets["1800.0"], buckets["+Inf"]) == (0, 1, 1, 2, 2)
    assert list(buckets.values()) == sorted(buckets.values())
    assert seen["lowland_claim_wait_seconds_count"][("cpu",)] == 2
    assert 1040 <= seen["lowland_claim_wait_seconds_sum"][("cpu",)] < 1080


def test_lost_leases_and_ended_runs_are_counted_once(http: httpx2.Client, ledger: Ledger) -> None:
    submit(ledger)
    enroll(ledger)
    claimed(ledger, lease_ms=0)
    for _ in range(3):
        ledger.run(runs.expire(failure=LOST, lease_ms=0))
    enroll(ledger, runners=())  # its slot is free again
    claimed(ledger)
    enroll(ledger, runners=())  # the runner is gone

    seen = scrape(http)

    assert seen["lowland_lease_losses_total"] == {("expired",): 1, ("runner_gone",): 1}
    assert seen["lowland_runs_ended_total"][("lost",)] == 2


def test_finished_jobs_and_their_chores_are_counted(http: httpx2.Client, worker: Worker, ledger: Ledger) -> None:
    http.post("/jobs", json={"dataset": "digits", "webhook": {"url": "https://example.org/hook"}})
    worker.settle(worker.claim(), "failed")
    waiting = scrape(http)["lowland_chores_waiting"]
    (archive,) = ledger.run(chores.take("archive", "t1", most=1, kept_ms=60_000))
    ledger.run(chores.tick_off(archive))
    (webhook,) = ledger.run(chores.take("webhook", "t2", most=1, kept_ms=60_000))
    ledger.run(chores.put_off(webhook, again_ms=0))
    (webhook,) = ledger.run(chores.take("webhook", "t3", most=1, kept_ms=60_000))
    for _ in range(2):  # the reply was lost
        ledger.run(chores.tick_off(webhook, "given_up"))

    seen = scrape(http)

    assert waiting == {("archive",): 1, ("webhook",): 1, ("retire",): 0}
    assert seen["lowland_chores_waiting"] == {("archive",): 0, ("webhook",): 0, ("retire",): 0}
    assert seen["lowland_jobs_finished_total"] == {("succeeded",): 0, ("failed",): 1, ("cancelled",): 0}
    assert seen["lowland_chores_total"] == {("archive", "done"): 1}
    assert seen["lowland_webhooks_total"] == {("done",): 0, ("failed",): 1, ("given_up",): 1}


def test_requests_are_counted_by_route_and_never_by_path(http: httpx2.Client) -> None:
    for path in ("/jobs/1", "/jobs/2", "/a", "/b", "/jobs"):
        http.get(path)
    http.request("BREW", "/jobs")
    http.delete("/jobs/1/pause")

    seen = scrape(http)

    assert seen["lowland_http_requests_total"] == {
        ("GET", "/jobs/{job_id}", "404"): 2,
        ("GET", "none", "404"): 2,
        ("GET", "/jobs", "200"): 1,
        ("other", "/jobs", "405"): 1,
        ("DELETE", "/jobs/{job_id}/pause", "405"): 1,
    }
    assert seen["lowland_http_request_seconds_count"][("GET", "/jobs/{job_id}")] == 2
    assert 0 < seen["lowland_http_request_seconds_sum"][("GET", "/jobs/{job_id}")] < 10


def test_scrapes_within_a_second_ask_redis_once(
    http: httpx2.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.metrics.FRESH_S", 60.0)
    before = scrape(http)["lowland_jobs"]

    submit(ledger)

    assert scrape(http)["lowland_jobs"] == before


@pytest.mark.parametrize(
    "changes",
    [{}, {"metrics_open": True}, {"require_api_key": True}, {"api_keys": SecretStr(f"ada:read:{'a' * 32}")}],
    ids=["by default", "open", "keys required", "keys of the environment"],
)
def test_metrics_are_answered_while_redis_is_away(settings: ApiSettings, changes: dict[str, Any]) -> None:
    """Who comes cannot be asked then, and what is shown says nothing about anybody's work."""
    with server(settings, redis_url="redis://127.0.0.1:1/0", **changes) as http:
        http.get("/healthz")
        seen = scrape(http)

    assert seen["lowland_ledger_up"] == {(): 0}
    assert "lowland_jobs" not in seen
    assert seen["lowland_http_requests_total"][("GET", "/healthz", "200")] == 1


def test_who_cannot_be_asked_is_not_shown_what_was_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.metrics.FRESH_S", 60.0)
    redis = ExitStack()
    url = redis.enter_context(redis_server(free_port()))
    with redis, Ledger(url) as ledger, server(ApiSettings(redis_url=url, artifact_dir=tmp_path)) as http:
        assert "lowland_jobs" in http.get("/metrics", headers=key(ledger)).text
        redis.close()

        seen = scrape(http)

    assert seen["lowland_ledger_up"] == {(): 0}
    assert "lowland_jobs" not in seen


def test_metrics_want_a_key_where_there_are_keys(http: httpx2.Client, ledger: Ledger) -> None:
    ada = key(ledger)

    assert_problem(http.get("/metrics"), 401, "key-missing")
    assert http.get("/metrics", headers=ada).status_code == 200
