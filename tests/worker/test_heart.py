"""A worker's presence in the ledger."""

from pathlib import Path

import pytest
import redis

from ledger import Keys, Ledger, presence, reads
from ledger.store import claim_store
from lowland.spec import Status
from tests.conftest import free_port
from tests.ledger.playing import claim, claimed, enroll, job, machine, submit
from worker.heart import Beat, Heart
from worker.settings import WorkerSettings


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(redis_url=redis_url, redis_prefix=keys.prefix, artifact_dir=tmp_path, slots=1)


def heart(settings: WorkerSettings, *runners: str, incarnation: str = "i1") -> Heart:
    return Heart(settings, machine(), "w1", incarnation, lambda: runners)


def test_the_first_beat_enrolls(settings: WorkerSettings, ledger: Ledger) -> None:
    assert heart(settings).beat() == Beat.GO_ON

    assert ledger.run(reads.overview()).live_workers == 1


def test_a_beat_ends_the_run_of_a_runner_that_is_gone(settings: WorkerSettings, ledger: Ledger) -> None:
    runners = ["r1"]
    beating = Heart(settings, machine(), "w1", "i1", lambda: runners)
    beating.beat()
    job_id = submit(ledger)
    claimed(ledger, runner="r1")
    assert beating.beat() == Beat.GO_ON
    assert job(ledger, job_id).status == Status.RUNNING

    runners.clear()
    assert beating.beat() == Beat.GO_ON

    assert job(ledger, job_id).status == Status.QUEUED


def test_a_worker_that_the_ledger_has_forgotten_enrolls_again_and_ends_nothing_of_its_own(
    settings: WorkerSettings, ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    beating = heart(settings, "r1")
    beating.beat()
    job_id = submit(ledger)
    claimed(ledger, runner="r1")
    with redis.Redis.from_url(redis_url) as client:
        client.delete(keys.key("worker", "w1"), keys.key("workers"))

    assert beating.beat() == Beat.GO_ON
    assert beating.beat() == Beat.GO_ON

    assert ledger.run(reads.overview()).live_workers == 1
    assert job(ledger, job_id).status == Status.RUNNING


def test_a_worker_whose_name_is_in_use_is_told_to_stop(settings: WorkerSettings, ledger: Ledger) -> None:
    enroll(ledger, incarnation="i1", store=claim_store(settings.artifact_dir))

    assert heart(settings, incarnation="i2").beat() == Beat.REFUSED


def test_a_worker_goes_on_while_the_ledger_is_away() -> None:
    away = WorkerSettings(redis_url=f"redis://127.0.0.1:{free_port()}/0")

    assert heart(away).beat() == Beat.GO_ON


def test_a_worker_does_not_work_for_a_ledger_of_another_layout(
    settings: WorkerSettings, redis_url: str, keys: Keys
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.key("schema"), "99")

    assert heart(settings).beat() == Beat.REFUSED


def test_a_worker_with_another_folder_than_the_others_is_told_to_stop(
    settings: WorkerSettings, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    enroll(ledger, "w2", store="another")

    assert heart(settings).beat() == Beat.REFUSED

    assert "this folder is not the shared one" in caplog.text
    assert ledger.run(reads.overview()).live_workers == 1


def test_a_worker_that_was_asked_to_drain_learns_it_by_its_next_beat(settings: WorkerSettings, ledger: Ledger) -> None:
    beating = heart(settings)
    beating.beat()

    assert ledger.run(presence.drain("w1")).draining

    assert beating.beat() == Beat.DRAIN
    submit(ledger)
    assert claim(ledger) is None
