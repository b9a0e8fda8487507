"""`lowland keys`, and what a server does that others can reach."""

import json
import os
import subprocess
from pathlib import Path

import httpx2
import pytest

from stack.addresses import is_public
from tests.stack.house import LOWLAND, house, serve


def keys(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOWLAND, "keys", *arguments], capture_output=True, text=True, check=False, env=os.environ | variables
    )


def test_a_key_is_made_listed_and_revoked(redis_url: str) -> None:
    where = {"LOWLAND_REDIS_URL": redis_url, "LOWLAND_REDIS_PREFIX": "{keys-by-hand}:"}
    made = keys("create", "--owner", "ada", "--scopes", "submit, read", "--quota", "3", "--expires-in", "30d", **where)
    keys("create", "--owner", "root", "--scopes", "admin", "--name", "desk", **where)

    listed = json.loads(keys("ls", "--json", **where).stdout)
    revoked = keys("revoke", listed[0]["id"], **where)
    again = keys("revoke", listed[0]["id"], **where)
    left = keys("ls", **where).stdout

    assert made.stdout.startswith("lowland_")
    assert len(made.stdout.strip()) == len("lowland_") + 43
    assert [(row["owner"], row["scopes"], row["quota"], row["name"]) for row in listed] == [
        ("ada", ["read", "submit"], 3, None),
        ("root", ["admin"], None, "desk"),
    ]
    assert listed[0]["expires_at"] > listed[0]["created_at"]
    assert revoked.stdout == f"{listed[0]['id']} revoked, 1 left\n"
    assert (again.returncode, again.stdout) == (1, "")
    assert "there is no key" in again.stderr
    assert " ada " not in left
    assert " root " in left
    assert made.stdout.strip() not in left


def test_keys_are_made_and_revoked_by_programs(redis_url: str) -> None:
    where = {"LOWLAND_REDIS_URL": redis_url, "LOWLAND_REDIS_PREFIX": "{keys-by-programs}:"}

    made = json.loads(keys("create", "--json", "--owner", "ada", "--scopes", "read", **where).stdout)
    revoked = json.loads(keys("revoke", "--json", made["id"], **where).stdout)

    assert (made["owner"], made["scopes"], made["key"][:8]) == ("ada", ["read"], "lowland_")
    assert revoked == {"revoked": made["id"], "left": 0}


def test_keys_of_a_server_that_never_was_are_not_looked_for(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    ended = [keys(*command, "--data-dir", str(folder)) for command in (("ls",), ("revoke", "--all"))]

    assert [one.returncode for one in ended] == [2, 2]
    assert all("no server has worked in" in one.stderr for one in ended)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--owner", "a b", "--scopes", "read"], 'lowland: the owner is "a b"; give'),
        (["--owner", "ada", "--scopes", "read,write"], 'lowland: the scope is "write"; give read, submit, admin'),
        (["--owner", "ada", "--scopes", "read", "--rate-limit", "often"], 'lowland: the rate is "often"; give'),
        (["--owner", "ada", "--scopes", "read", "--expires-in", "soon"], "soon is no time; give a number and"),
    ],
)
def test_a_key_that_cannot_be_is_refused(options: list[str], said: str) -> None:
    ended = keys("create", *options)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_a_server_that_others_can_reach_wants_keys(tmp_path: Path) -> None:
    """Refused without one; with the first one made beforehand, it lets in who shows it."""
    folder = tmp_path / "data"

    refused = serve("--host", "0.0.0.0", "--port", "0", "--data-dir", str(folder))

    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "lowland: others can reach 0.0.0.0, and there is no API key; make one with `lowland keys create`, or give "
        "--allow-anonymous to let everybody in"
    )
    made = keys("create", "--owner", "ada", "--scopes", "read", "--data-dir", str(folder)).stdout.strip()
    configured = "root:admin:" + "r" * 32
    with house(folder, "--host", "0.0.0.0", LOWLAND_API_KEYS=configured) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        while_it_runs = keys("create", "--owner", "bob", "--scopes", "read", "--data-dir", str(folder)).stdout.strip()

        assert running.child("api").environ()["LOWLAND_API_KEYS"] == configured
        assert all("LOWLAND_API_KEYS" not in running.child(name).environ() for name in ("worker", "keeper"))
        assert httpx2.get(f"{url}/jobs").status_code == 401
        for secret in (made, while_it_runs, "r" * 32):
            answer = httpx2.get(f"{url}/jobs", headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("127.1.2.3", False), ("0.0.0.0", True), ("", True)],
)
def test_loopback_is_not_public(host: str, public: bool) -> None:
    assert is_public(host) == public
