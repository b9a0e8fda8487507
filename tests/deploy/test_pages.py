"""What the pages about deployment name is there: files, extras, services, profiles; and servers take their settings."""

import re
from pathlib import Path
from typing import Final

import pytest
import redis

from stack.folder import data_folder
from stack.valkey import prepare
from tests.deploy.environments import project
from tests.deploy.files import compose, services
from tests.deploy.redises import valkey
from tests.docs.pages import DOCS, Block, blocks
from tests.stack.house import ROOT

CONNECT: Final = DOCS / "how-to" / "connect-to-redis.md"
NAMES: Final = ("run-in-production", "several-machines", "back-up-and-restore", "upgrade")
PAGES: Final = [*(DOCS / "how-to" / f"{name}.md" for name in NAMES), CONNECT]
TEXT: Final = "\n".join(page.read_text() for page in PAGES)


def test_files_that_are_named_are_there() -> None:
    named = set(re.findall(r"\bdeploy/systemd/[\w.-]+", TEXT))

    assert len(named) == 4
    assert all((ROOT / name).is_file() for name in named)


def test_extras_that_are_named_are_there() -> None:
    named = set(re.findall(r"'\.\[(\w+)\]'", TEXT))

    assert named == {"api", "worker"}
    assert named <= project()["optional-dependencies"].keys()


def test_services_and_profiles_that_are_named_are_there() -> None:
    found = services(LOWLAND_REDIS_PASSWORD="of-a-test")
    profiles = {profile for service in found.values() for profile in service.get("profiles", [])}

    given = re.findall(r"COMPOSE_PROFILES=([\w,]+)", TEXT)
    assert {"gpu", "monitoring"} <= {profile for text in given for profile in text.split(",")} <= profiles
    named = set(re.findall(r"docker compose (?:exec|stop|run|logs)(?: --?[\w-]+| \w+=)* (\w+)", TEXT))
    assert {"api", "worker", "redis"} <= named
    assert named <= found.keys()


def test_how_soon_a_silent_process_is_missed_is_said_once() -> None:
    """The pages and the unit have the ledger's numbers."""
    lua = (ROOT / "ledger/lua/_3_machines.lua").read_text()
    seconds = {name: int(ms) / 1000 for name, ms in re.findall(r"^local (\w+)_MS = (\d+)$", lua, re.MULTILINE)}
    unit = (ROOT / "deploy/systemd/lowland-worker.service").read_text()

    assert f"looked at the leases within {seconds['UNATTENDED']:g} s" in TEXT
    assert f"was heard within {seconds['WORKER_ALIVE']:g} s" in TEXT
    assert f"its name is taken for {seconds['WORKER_ALIVE']:g} s after a crash" in unit


@pytest.mark.parametrize("block", list(blocks(CONNECT, "conf")), ids=str)
def test_a_server_takes_the_settings_that_the_page_wants(block: Block, tmp_path: Path) -> None:
    lines = block.text.splitlines()

    with (
        valkey(tmp_path, *(f"--{line}" for line in lines)) as port,
        redis.Redis(port=port, decode_responses=True) as client,
    ):
        for line in lines:
            name, value = line.split(" ", 1)
            assert client.config_get(name) == {name: value.strip('"')}


def test_durability_is_said_once(tmp_path: Path) -> None:
    """The page, the compose file and `lowland serve` agree."""
    (wanted,) = (set(block.text.splitlines()) for block in blocks(CONNECT, "conf") if "appendonly" in block.text)

    of_compose = set(compose(LOWLAND_REDIS_PASSWORD="of-a-test")["configs"]["redis"]["content"].splitlines())
    with data_folder(tmp_path) as folder:
        of_serve = set(Path(prepare(folder).argv[1]).read_text().splitlines())

    assert wanted <= of_compose
    assert wanted <= of_serve
