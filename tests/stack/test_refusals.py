"""What `lowland serve` refuses: one clear line, exit code 2, nothing left running."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from ledger.keys import SCHEMA
from tests.conftest import free_port
from tests.stack.house import ROOT, house, serve


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        ended = serve("--port", str(port), "--data-dir", str(tmp_path))

    reason = "address already in use; give another one with --host or --port"
    _assert_refused(ended, f"lowland: cannot listen on 127.0.0.1 port {port}: {reason}")


def test_a_host_that_is_not_ours_is_named(tmp_path: Path) -> None:
    ended = serve("--host", "192.0.2.1", "--data-dir", str(tmp_path))

    reason = "cannot assign requested address; give another one with --host or --port"
    _assert_refused(ended, f"lowland: cannot listen on 192.0.2.1 port 8000: {reason}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"

    ended = serve("--port", "0", "--data-dir", str(folder))

    reason = "not a directory; give another one with --data-dir"
    _assert_refused(ended, f"lowland: the data folder {folder} cannot be used: {reason}")


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()

    ended = serve("--port", "0", "--data-dir", str(tmp_path), "--redis-url", f"redis://:secret@127.0.0.1:{port}/0")

    _assert_refused(ended, f"lowland: the Redis at 127.0.0.1:{port} cannot be used: ", exact=False)
    assert "secret" not in ended.stderr


def test_a_redis_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    ended = serve("--port", "0", "--data-dir", str(tmp_path), "--redis-url", "http://127.0.0.1")

    _assert_refused(ended, "lowland: the Redis URL: the scheme is not one of ", exact=False)


def test_a_redis_with_another_layout_is_refused(tmp_path: Path, redis_url: str) -> None:
    prefix = "{from-the-future}:"
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{prefix}schema", "999")

    ended = serve("--port", "0", "--data-dir", str(tmp_path), "--redis-url", redis_url, LOWLAND_REDIS_PREFIX=prefix)

    place = redis_url.removeprefix("redis://").removesuffix("/0")
    reason = (
        f"the ledger has layout 999; this version of Lowland reads layout {SCHEMA}: give it another Redis database, "
        "prefix or data folder, or start the version that wrote this one"
    )
    _assert_refused(ended, f"lowland: the Redis at {place} cannot be used: {reason}")


def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    ended = serve("--port", "0", "--data-dir", str(tmp_path), LOWLAND_LEASE_S="soon")

    _assert_refused(ended, "lowland: LOWLAND_LEASE_S in the environment is wrong: ", exact=False)


def test_a_second_server_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with house(tmp_path / "data", ready=False) as first:
        first.child("valkey")

        ended = serve("--port", "0", "--data-dir", str(first.folder))

    whose = f"process {first.process.pid}; stop it, or give another one with --data-dir"
    _assert_refused(ended, f"lowland: the data folder {first.folder} is in use by {whose}")


@pytest.mark.parametrize("option", [["--port", "65536"], ["--workers", "0"], ["--colour", "red"]])
def test_a_wrong_option_is_a_usage_error(option: list[str]) -> None:
    ended = serve(*option)

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.endswith("; see `lowland serve --help`\n")


def test_where_only_the_wheel_is_installed_it_says_how_to_get_the_server(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "lowland", tmp_path / "lowland")  # a wheel holds no more of the command line
    program = "from lowland.cli import main; main(['serve'], prog_name='lowland')"

    ended = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )

    _assert_refused(ended, "lowland: the server is not installed here (no module stack); ", exact=False)


def _assert_refused(ended: subprocess.CompletedProcess[str], line: str, *, exact: bool = True) -> None:
    """One line on standard error, and exit code 2."""
    said = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout, len(said)) == (2, "", 1), ended.stderr
    assert said[0] == line if exact else said[0].startswith(line)


def test_an_artifact_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = serve("--data-dir", str(tmp_path / "data"), LOWLAND_ARTIFACT_DIR=str(tmp_path / "file" / "artifacts"))

    assert ended.returncode == 2
    assert f"lowland: LOWLAND_ARTIFACT_DIR in the environment is wrong: {tmp_path}/file/artifacts" in ended.stderr


def test_a_setting_of_the_worker_that_is_wrong_is_told_by_name(tmp_path: Path) -> None:
    ended = serve("--port", "0", "--data-dir", str(tmp_path / "data"), LOWLAND_SLOTS="many")

    assert ended.returncode == 1
    assert "it said last: lowland: LOWLAND_SLOTS: " in ended.stderr
