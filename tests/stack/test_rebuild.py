"""`lowland rebuild`: a server whose Redis was lost, and which has its jobs again."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2

from ledger import Keys, Ledger, reads
from ledger.packing import RECORD_FILE
from ledger.store import job_folder
from tests.ledger.archiving import archive, finished
from tests.stack.house import LOWLAND, House, get_json, house
from tests.waiting import until

FUNCTION = {"function": "rosenbrock", "start": [-1.2, 1.0], "steps": 20}
#: Without a GPU it does so for ever.
WAITING = {"dataset": "digits", "resources": {"device": "cuda"}}
UNKNOWN = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"


def test_a_server_that_lost_its_redis_has_its_finished_jobs_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with house(folder) as running:
        done = post(running, "/jobs", FUNCTION)["id"]
        until(lambda: read(running, done)["terminal"], "the job is done", seconds=60)
        gone = post(running, "/jobs", WAITING)["id"]
        post(running, f"/jobs/{gone}/cancel")
        for job_id in (done, gone):
            until((job_folder(folder / "artifacts", job_id) / RECORD_FILE).exists, "its record is written")
        in_use = rebuild("--data-dir", str(folder))
        before = get_json(f"{running.url}/jobs")
    damage(folder / "artifacts")
    shutil.rmtree(folder / "valkey")

    ended = rebuild("--data-dir", str(folder))
    again = rebuild("--data-dir", str(folder))

    assert (in_use.returncode, in_use.stdout) == (2, "")
    assert in_use.stderr.startswith(f"lowland: the data folder {folder} is in use by process ")
    assert len(in_use.stderr.splitlines()) == 1
    assert (ended.returncode, ended.stdout) == (1, "2 jobs brought back, 0 were there, 1 record damaged\n")
    assert ended.stderr.splitlines() == [damage_told(folder / "artifacts")]
    assert (again.returncode, again.stdout) == (1, "0 jobs brought back, 2 were there, 1 record damaged\n")
    with house(folder) as running:
        assert get_json(f"{running.url}/jobs") == before
        assert [one["status"] for one in (before or {})["jobs"]] == ["cancelled", "succeeded"]
        artifact = read(running, done)["artifacts"][0]
        assert httpx2.get(f"{running.url}{artifact['href']}").status_code == 200
        assert post(running, f"/jobs/{gone}/retry")["status"] == "queued"


def test_a_redis_that_is_named_is_used_and_no_data_folder_made(
    ledger: Ledger, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (root / "store.json").write_text('{"id": "s1"}')
    job_id = finished(ledger)
    archive(ledger, root, job_id)
    prefix = keys.prefix.replace("}", "-again}")
    options = ["--data-dir", str(tmp_path / "data"), "--redis-url", redis_url, "--artifact-dir", str(root)]

    ended = rebuild(*options, LOWLAND_REDIS_PREFIX=prefix)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "1 job brought back, 0 were there, 0 records damaged\n"
    told = json.loads(rebuild("--json", *options, LOWLAND_REDIS_PREFIX=prefix).stdout)
    assert told == {"brought_back": 0, "there": 1, "damaged": []}
    assert not (tmp_path / "data").exists()
    with Ledger(redis_url, Keys(prefix)) as again:
        assert again.run(reads.get_job(job_id)) == ledger.run(reads.get_job(job_id))


def test_a_folder_without_a_store_is_refused_and_not_made(tmp_path: Path) -> None:
    ended = rebuild("--data-dir", str(tmp_path / "data"))

    said = f"lowland: the artifact store {tmp_path}/data/artifacts cannot be used: it has no store.json; "
    assert_refused(ended, said)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_another_store_is_refused(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    options = ["--redis-url", redis_url, "--artifact-dir", str(tmp_path)]
    (tmp_path / "store.json").write_text('{"id": "s1"}')
    first = rebuild(*options, LOWLAND_REDIS_PREFIX=keys.prefix)
    (tmp_path / "store.json").write_text('{"id": "s2"}')

    ended = rebuild(*options, LOWLAND_REDIS_PREFIX=keys.prefix)

    assert first.returncode == 0
    assert_refused(ended, f"lowland: the artifact store {tmp_path} cannot be used: ")


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"id": "s1"}')

    ended = rebuild("--redis-url", "redis://:secret@127.0.0.1:1/0", "--artifact-dir", str(tmp_path))

    assert_refused(ended, "lowland: the Redis at 127.0.0.1:1 cannot be used: ")
    assert "secret" not in ended.stderr


def rebuild(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [LOWLAND, "rebuild", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | variables, check=False)


def assert_refused(ended: subprocess.CompletedProcess[str], line: str) -> None:
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert ended.stderr.startswith(line)


def post(running: House, path: str, body: object = None) -> dict[str, Any]:
    response = httpx2.post(f"{running.url}{path}", json=body) if body else httpx2.post(f"{running.url}{path}")
    assert response.is_success, response.text
    return response.json()


def read(running: House, job_id: str) -> dict[str, Any]:
    job = get_json(f"{running.url}/jobs/{job_id}")
    assert job is not None
    return job


def damage(root: Path) -> None:
    folder = job_folder(root, UNKNOWN)
    folder.mkdir()
    (folder / RECORD_FILE).write_text(json.dumps({"form": 1})[:-1])


def damage_told(root: Path) -> str:
    path = job_folder(root, UNKNOWN) / RECORD_FILE
    return f"lowland: {path} is damaged: Expecting ',' delimiter: line 1 column 11 (char 10)"
