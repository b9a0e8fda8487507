"""The artifact store is full, cannot be written, or is not the one that everybody else uses."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lowland.spec import Status
from lowland.spec.reports import Broken, read_report
from tests.faults.fleet import SMALL, TINY, Fleet, outcomes
from tests.stack.house import LOWLAND, ROOT


def test_a_job_on_a_full_store_fails_after_its_attempts_and_leaves_no_half_file(fleet: Fleet) -> None:
    with _small_store(fleet.artifacts):
        fleet.start()
        filler = _fill(fleet.artifacts)
        job_id = fleet.submit(SMALL, epochs=3, max_attempts=2)

        failed = fleet.finished(job_id)

        assert (failed.status, outcomes(failed)) == (Status.FAILED, [(1, "lost"), (2, "lost")])
        assert failed.error is not None
        assert "No space left on device" in failed.error.detail
        assert fleet.half_files() == []
        filler.unlink()
        assert fleet.record(job_id).fields["status"] == Status.FAILED
        again = fleet.finished(fleet.submit(SMALL, epochs=3))
        assert again.status == Status.SUCCEEDED, again.error
        fleet.close()
    fleet.found = f"failed: {failed.error.detail}; no half file; recorded, and others succeed, once there was room"


def test_an_engine_on_a_full_disk_says_so_though_its_log_is_on_that_disk_too(tmp_path: Path) -> None:
    spec, store = tmp_path / "spec.json", tmp_path / "store"
    spec.write_text(json.dumps({**SMALL, "epochs": 1}))
    with _small_store(store), (store / "engine.log").open("wb") as log:
        (store / "run").mkdir()
        _fill(store)
        command = [sys.executable, "-m", "worker.engine", str(spec), "--out", str(store / "run")]

        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, timeout=90, check=False)

    last = read_report(ended.stdout.splitlines()[-1])
    assert isinstance(last, Broken)
    assert "No space left on device" in last.detail
    assert not last.permanent


def test_a_job_on_a_store_that_cannot_be_written_waits_with_the_reason_and_is_trained_once_it_can(fleet: Fleet) -> None:
    with _small_store(fleet.artifacts):
        fleet.start()
        _remount(fleet.artifacts, "ro")
        job_id = fleet.submit(SMALL, epochs=3, max_attempts=1)

        waiting = fleet.until_job(job_id, lambda job: job.status == Status.QUEUED and job.error is not None, "waits")

        assert waiting.error is not None
        assert waiting.error.type == "engine-not-started"
        assert "Read-only file system" in waiting.error.detail
        assert fleet.half_files() == []
        _remount(fleet.artifacts, "rw")
        job = fleet.finished(job_id)
        assert job.status == Status.SUCCEEDED, job.error
        assert {run.outcome for run in job.attempts[:-1]} == {"put_back"}
        assert fleet.half_files() == []
        assert fleet.record(job_id).fields["status"] == Status.SUCCEEDED
        fleet.close()
    fleet.found = f"waited: {waiting.error.detail}; no attempt spent; succeeded once it could be written"


@pytest.mark.parametrize("jobs", [10])
def test_a_ledger_that_is_lost_is_brought_back_from_the_store(fleet: Fleet, jobs: int) -> None:
    server, keeper, worker = fleet.start_redis(), fleet.start_keeper(), fleet.start_worker()
    ids = [fleet.submit(TINY) for _ in range(jobs)]
    before = [fleet.finished(job_id) for job_id in ids]
    for job_id in ids:
        fleet.record(job_id)
    for part in (worker, keeper):
        part.stop()
    server.kill()
    shutil.rmtree(fleet.folder / "appendonlydir")
    fleet.start_redis()
    assert fleet.redis.dbsize() == 0

    command = [LOWLAND, "rebuild", "--redis-url", fleet.redis_url, "--artifact-dir", str(fleet.artifacts)]
    rebuilt = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    assert (rebuilt.returncode, rebuilt.stderr) == (0, "")
    assert [fleet.job(job_id) for job_id in ids] == before
    fleet.start_keeper()
    fleet.start_worker()
    assert fleet.finished(fleet.submit(TINY)).status == Status.SUCCEEDED
    fleet.found = f"{rebuilt.stdout.strip()}; each as it was, and the next job succeeded"


def test_a_worker_with_a_store_of_its_own_is_refused_and_the_other_goes_on(fleet: Fleet) -> None:
    fleet.start()
    other = fleet.folder / "other"

    second = fleet.start_worker("second", enrolls=False, LOWLAND_ARTIFACT_DIR=str(other))

    assert second.process.wait(90) == 2
    assert "this folder is not the shared one" in second.log
    job = fleet.finished(fleet.submit(TINY))
    assert (job.status, job.attempts[0].worker.split("@")[0]) == (Status.SUCCEEDED, "worker")
    fleet.found = "the second worker ended with exit status 2 and said why; the first went on"


@contextmanager
def _small_store(folder: Path) -> Iterator[None]:
    """A file system of 4 MB there. Whoever works in it is to be gone at the end."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "lowland-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:  # lazily: where a test has failed its processes are still at work
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler
