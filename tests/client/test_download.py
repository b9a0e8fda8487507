"""Fetching what a job has made: whole and verified or not at all, and no byte twice without need."""

import hashlib
import json
import random
import threading
from pathlib import Path

import pytest

from ledger.store import run_folder
from lowland import Client
from lowland.client import download
from lowland.client.download import Incoming
from lowland.errors import ArtifactNotFound, DownloadCorrupt, ServerUnavailable
from lowland.spec.resource import Job
from tests.api.conftest import Worker
from tests.client.conftest import Opening
from tests.client.relay import Relay, answer, relayed

CONTENT = random.Random(0).randbytes(1_500_000)


@pytest.fixture
def job(client: Client, worker: Worker, artifact_dir: Path) -> Job:
    """A job with a good file, an empty one, and one that was changed after it was recorded."""
    client.submit({"dataset": "digits"})
    lease = worker.claim()
    folder = run_folder(artifact_dir, lease.job_id, lease.token)
    folder.mkdir(parents=True)
    contents = {"good.bin": CONTENT, "empty.bin": b"", "changed.bin": CONTENT}
    for number, (name, content) in enumerate(contents.items(), start=1):
        artifact = {"name": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        recorded = json.dumps(artifact | {"media_type": "application/octet-stream", "token": lease.token})
        worker.report(lease, number, **{f"artifact:{name}": recorded})
        (folder / name).write_bytes(content)
    (folder / "changed.bin").write_bytes(CONTENT[::-1])
    return client.get(lease.job_id)


def ranges(relay: Relay) -> list[int]:
    """Where what was asked for began, of the requests for a part."""
    return [int(line.removeprefix("Range: bytes=").removesuffix("-")) for line in relay.lines("Range: bytes=")]


def test_a_file_is_put_where_it_is_wanted(client: Client, job: Job, tmp_path: Path) -> None:
    (tmp_path / "old.bin").write_bytes(b"old")

    assert client.download(job, "good.bin", tmp_path / "old.bin") == tmp_path / "old.bin"
    assert client.download(job.id, "good.bin", str(tmp_path)) == tmp_path / "good.bin"
    assert client.download(job, "empty.bin", tmp_path) == tmp_path / "empty.bin"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "old.bin": CONTENT,
        "good.bin": CONTENT,
        "empty.bin": b"",
    }


def test_a_file_that_is_not_what_was_recorded_is_not_kept(client: Client, job: Job, tmp_path: Path) -> None:
    (tmp_path / "changed.bin").write_bytes(b"old")

    with pytest.raises(DownloadCorrupt, match=r"changed\.bin arrived with sha256"):
        client.download(job, "changed.bin", tmp_path)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_that_is_not_there_says_what_is(client: Client, job: Job, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFound, match=r"has no artifact nope; it has changed\.bin, empty\.bin, good\.bin"):
        client.download(job, "nope", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_goes_on_where_it_broke_off(
    client: Client, opening: Opening, job: Job, tmp_path: Path
) -> None:
    with relayed(client.base_url, 600_000, 500_000) as relay, opening(relay.url) as cut_off:
        got = cut_off.download(job, "good.bin", tmp_path)

    assert got.read_bytes() == CONTENT
    first, second = ranges(relay)
    assert 500_000 < first < 600_000 < second < 1_100_000


def test_the_next_download_goes_on_with_what_an_earlier_one_has_left(
    client: Client, opening: Opening, job: Job, tmp_path: Path
) -> None:
    with relayed(client.base_url, 600_000) as relay, opening(relay.url, retry_s=0) as gives_up:
        with pytest.raises(ServerUnavailable):
            gives_up.download(job, "good.bin", tmp_path)
        [part] = tmp_path.iterdir()
        assert CONTENT.startswith(part.read_bytes())

        got = gives_up.download(job, "good.bin", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["good.bin"]
    assert got.read_bytes() == CONTENT
    assert len(ranges(relay)) == 1


@pytest.mark.parametrize("left", [b"rubbish" * 1000, b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_part_that_is_damaged_is_fetched_anew(
    client: Client, opening: Opening, job: Job, tmp_path: Path, left: bytes
) -> None:
    with (
        relayed(client.base_url, 600_000) as relay,
        opening(relay.url, retry_s=0) as gives_up,
        pytest.raises(ServerUnavailable),
    ):
        gives_up.download(job, "good.bin", tmp_path)
    [part] = tmp_path.iterdir()
    part.write_bytes(left)

    assert client.download(job, "good.bin", tmp_path).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["good.bin"]


def test_many_may_fetch_the_same(client: Client, opening: Opening, job: Job, tmp_path: Path) -> None:
    def fetch(number: int) -> None:
        with relayed(client.base_url, 100_000 * number) as relay, opening(relay.url) as mine:
            mine.download(job, "good.bin", tmp_path)

    fetching = [threading.Thread(target=fetch, args=[number]) for number in range(1, 9)]
    for each in fetching:
        each.start()
    for each in fetching:
        each.join()

    assert [path.name for path in tmp_path.iterdir()] == ["good.bin"]
    assert (tmp_path / "good.bin").read_bytes() == CONTENT


def test_a_folder_that_is_not_there_is_said(client: Client, job: Job, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.download(job, "good.bin", tmp_path / "nowhere" / "good.bin")


def test_a_name_that_leads_out_of_the_folder_is_refused(
    client: Client, opening: Opening, job: Job, tmp_path: Path
) -> None:
    """A server that means harm, or one that was broken into, writes nowhere else."""
    evil = job.artifacts[0].model_copy(update={"name": "../evil"})
    told = job.model_copy(update={"artifacts": [evil]}).model_dump_json().encode()

    with (
        relayed(client.base_url, answer("200 OK", body=told)) as relay,
        opening(relay.url) as misled,
        pytest.raises(ArtifactNotFound),
    ):
        misled.download(job, "../evil", tmp_path)

    assert not (tmp_path.parent / "evil").exists()


def test_what_never_gets_further_ends(client: Client, opening: Opening, job: Job, tmp_path: Path) -> None:
    """Something that drops Range, and cuts: the same bytes arrive again and again."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
    whole_answer = client.get(job).model_dump_json().encode()
    cut_short = head + CONTENT[:1000]

    with (
        relayed(client.base_url, answer("200 OK", body=whole_answer), *[cut_short] * 100) as relay,
        opening(relay.url, retry_s=1) as kept_back,
        pytest.raises(ServerUnavailable),
    ):
        kept_back.download(job, "good.bin", tmp_path)

    assert relay.plans_left > 50


def test_one_that_got_nothing_does_not_take_the_part_from_another(job: Job, tmp_path: Path) -> None:
    artifact = next(each for each in job.artifacts if each.name == "good.bin")
    target = tmp_path / "good.bin"

    with Incoming(job, artifact, target) as other:
        with Incoming(job, artifact, target):
            pass
        other.write(CONTENT)
        other.keep()

    assert (target.read_bytes(), list(tmp_path.iterdir())) == (CONTENT, [target])


def test_where_nothing_can_be_locked_it_arrives_too(
    client: Client, opening: Opening, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "fcntl", None)

    with relayed(client.base_url, 600_000) as relay, opening(relay.url) as cut_off:
        assert cut_off.download(job, "good.bin", tmp_path).read_bytes() == CONTENT

    assert len(ranges(relay)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["good.bin"]
