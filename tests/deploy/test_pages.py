"""What the pages about deployment name is there: files, extras, services, profiles; and servers take their settings."""

import re
from pathlib import Path
from typing import Final

import pytest
import redis

from stack.folder import data_folder
from stack.valkey import prepare
from tests.deploy.environments import project
from tests.deploy.files import services
from tests.deploy.redises import valkey
from tests.docs.pages import DOCS, Block, blocks
from tests.stack.house import ROOT

CONNECT: Final = DOCS / "how-to" / "connect-to-redis.md"
PAGES: Final = [DOCS / "how-to" / "run-in-production.md", DOCS / "how-to" / "several-machines.md", CONNECT]
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

    assert set(re.findall(r"COMPOSE_PROFILES=(\w+)|--profile (\w+)", TEXT)) <= {
        *((name, "") for name in profiles),
        *(("", name) for name in profiles),
    }
    named = set(re.findall(r"docker compose (?:exec|stop|logs --follow) (\w+)", TEXT))
    assert named
    assert named <= found.keys()


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

    command = services(LOWLAND_REDIS_PASSWORD="of-a-test")["redis"]["command"]
    pairs = zip(command[1::2], command[2::2], strict=True)
    of_compose = {f"{name.removeprefix('--')} {value}" if value else 'save ""' for name, value in pairs}
    with data_folder(tmp_path) as folder:
        of_serve = set(Path(prepare(folder).argv[1]).read_text().splitlines())

    assert wanted <= of_compose
    assert wanted <= of_serve
