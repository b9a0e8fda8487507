"""`lowland doctor` and `lowland data get`: what a machine has, and what it is told to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

import lowland as package
from ledger import Ledger
from lowland.cli.exits import Exit
from tests.api.servers import redis_server
from tests.cli.running import Shell
from tests.client.relay import answer, relayed
from tests.conftest import free_port
from tests.ledger.playing import enroll


def found(lowland: Shell, *arguments: str, code: Exit, **variables: str) -> dict[str, dict[str, Any]]:
    """What the doctor has found, by its names."""
    said = lowland("doctor", "--json", *arguments, **variables)
    assert (said.returncode, said.stderr) == (code, ""), said.stdout + said.stderr
    return {finding["name"]: finding for finding in json.loads(said.stdout)}


def test_a_machine_that_lacks_nothing(lowland: Shell, ledger: Ledger, redis_url: str, tmp_path: Path) -> None:
    enroll(ledger)

    findings = found(lowland, "--data-dir", str(tmp_path / "none"), "--redis-url", redis_url, code=Exit.DONE)

    states = {name: finding["state"] for name, finding in findings.items()}
    # the tests' own Valkey keeps nothing on disk
    assert states.pop("Redis durability") == "warning"
    assert "appendonly yes" in findings["Redis durability"]["advice"]
    assert set(states.values()) == {"ok"}, findings
    assert findings["server"]["detail"].startswith(f"{package.__version__} at {lowland.url}: ")
    assert findings["workers"]["detail"] == "1 at the server"
    assert findings["artifact store"]["detail"].startswith(f"{tmp_path}/none/artifacts (not there yet), ")
    assert not (tmp_path / "none").exists()


def test_what_is_wrong_comes_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = f"redis://:secret@127.0.0.1:{free_port()}/0"

    findings = found(
        Shell(url=f"http://127.0.0.1:{free_port()}"),
        "--redis-url",
        nowhere,
        code=Exit.FAILED,
        LOWLAND_ARTIFACT_DIR=str(tmp_path / "file" / "artifacts"),
        LOWLAND_DATA_DIR=str(tmp_path / "file"),
    )

    failed = {name: finding["advice"] for name, finding in findings.items() if finding["state"] == "failed"}
    assert list(failed) == ["server", "Redis", "artifact store", "datasets"]
    assert "`lowland serve`" in failed["server"]
    assert "LOWLAND_REDIS_URL" in failed["Redis"]
    assert "LOWLAND_ARTIFACT_DIR" in failed["artifact store"]
    assert "LOWLAND_DATA_DIR" in failed["datasets"]
    assert "secret" not in json.dumps(findings)


def test_a_url_of_redis_that_is_mistyped_is_not_shown(tmp_path: Path) -> None:
    lowland = Shell(url=f"http://127.0.0.1:{free_port()}")

    said = lowland("doctor", "--data-dir", str(tmp_path), LOWLAND_REDIS_URL="redis:/lowland:secret@127.0.0.1:6379/0")

    assert said.returncode == Exit.FAILED
    assert "// is missing behind redis:" in said.stdout
    assert "secret" not in said.stdout + said.stderr


def test_another_kind_of_server_does_not_keep_it_from_the_rest(tmp_path: Path) -> None:
    not_found = answer("404 Not Found", body=b"<h1>Not here</h1>")

    with relayed("http://127.0.0.1:1", *[not_found] * 10) as relay:
        said = Shell(url=relay.url)("doctor", "--json", "--data-dir", str(tmp_path))

    findings = {finding["name"]: finding for finding in json.loads(said.stdout)}
    assert said.returncode == Exit.FAILED
    assert findings["server"]["state"] == "failed"
    assert "names something else" in findings["server"]["advice"]
    assert {"torch", "Redis", "datasets"} <= findings.keys()


def test_a_redis_that_forgets_jobs_has_failed(lowland: Shell, ledger: Ledger) -> None:
    with redis_server(port := free_port()) as url:
        with redis.Redis(port=port) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        findings = found(lowland, "--redis-url", url, code=Exit.FAILED)

    assert findings["Redis"]["detail"].endswith("no ledger yet")
    assert findings["Redis durability"]["state"] == "failed"
    assert "noeviction" in findings["Redis durability"]["advice"]


def test_a_url_of_redis_that_cannot_be_read_is_said_without_its_password(lowland: Shell, ledger: Ledger) -> None:
    findings = found(lowland, "--redis-url", "http://:secret@box/0", code=Exit.FAILED)

    assert "the scheme is not one of redis, rediss" in findings["Redis"]["detail"]
    assert "secret" not in json.dumps(findings)


def test_a_setting_that_cannot_be_read_is_named(lowland: Shell, ledger: Ledger) -> None:
    findings = found(lowland, code=Exit.FAILED, LOWLAND_SLOTS="many")

    assert findings["settings"]["detail"].startswith("LOWLAND_SLOTS: ")


def test_findings_fit_a_terminal_and_stand_in_lines(lowland: Shell, ledger: Ledger, redis_url: str) -> None:
    said = lowland.on_terminal("doctor", "--redis-url", redis_url, width=80)

    assert said.code == Exit.DONE
    assert max(len(line) for line in said.lines) <= 80
    assert [line.split()[0] for line in said.lines if not line.startswith(" ")][:3] == ["ok", "ok", "warning"]


@pytest.fixture(scope="module")
def wheel_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel brings, and none of the server's rooms beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(Path(package.__file__).parent, folder / "lowland")
    return folder


def without_the_server(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line that lies in the folder."""
    program = "from lowland.cli import main; main(prog_name='lowland')"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [["serve"], ["keys", "ls"], ["rebuild"], ["data", "get", "digits"]], ids=lambda words: words[0]
)
def test_what_needs_the_server_s_rooms_says_how_to_get_them(wheel_alone: Path, arguments: list[str]) -> None:
    ended = without_the_server(wheel_alone, *arguments)

    assert (ended.returncode, ended.stdout) == (Exit.UNUSABLE, "")
    assert ended.stderr == (
        "lowland: the server is not installed here (no module stack); clone Lowland's repository and run there "
        "`make setup`, or `pip install -c constraints.txt -e '.[server]'`\n"
    )


def test_without_the_server_s_rooms_the_doctor_looks_at_the_server(
    wheel_alone: Path, lowland: Shell, ledger: Ledger
) -> None:
    ended = without_the_server(wheel_alone, "doctor", LOWLAND_URL=lowland.url)

    assert (ended.returncode, ended.stderr) == (Exit.DONE, "")
    assert [line.split("  ")[0] for line in ended.stdout.splitlines()] == ["ok", "ok", "warning", "", "ok", "ok"]
    assert "this is the client alone" in ended.stdout


def test_data_that_needs_no_files_is_checked(lowland: Shell) -> None:
    said = lowland("data", "get", "digits", "linear")

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines() == [
        "digits: nothing to fetch, 1,438 training and 359 test samples",
        "linear: nothing to fetch, 100 training and 25 test samples",
    ]


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("kmnst", Exit.NOT_FOUND, 'lowland: there is no dataset "kmnst"; did you mean "kmnist"?\n'),
        ("folder", Exit.UNUSABLE, "lowland: folder is of your own files; put them below LOWLAND_DATA_DIR; see"),
        ("kmnist", Exit.FAILED, "lowland: kmnist is not on disk ("),
    ],
)
def test_data_that_cannot_be_had_is_said_in_one_line(
    lowland: Shell, tmp_path: Path, name: str, code: Exit, line: str
) -> None:
    proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}

    said = lowland("data", "get", name, LOWLAND_DATA_DIR=str(tmp_path), **proxies)

    assert (said.returncode, said.stdout, len(said.stderr.splitlines())) == (code, "", 1)
    assert said.stderr.startswith(line)
    assert list(tmp_path.iterdir()) == []
