"""docker-compose.yml is what Docker Compose takes, and safe where nobody has set anything."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import anyio
import jsonschema
import pytest
import yaml
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tests.deploy.files import COMPOSE, compose, images, services
from tests.stack.house import ROOT
from worker.settings import WorkerSettings

SCHEMA: Final = Path(__file__).parent / "schema" / "compose-spec-2.9.1.json"
PASSWORD: Final = {"LOWLAND_REDIS_PASSWORD": "of-a-test"}
OURS: Final = ("api", "keeper", "worker", "worker-cpu")


def test_the_file_fits_the_schema_of_compose() -> None:
    schema = json.loads(SCHEMA.read_text())

    errors = jsonschema.Draft7Validator(schema).iter_errors(compose(**PASSWORD))

    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_docker_compose_takes_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker client with compose is installed; the schema is tried all the same")
    profiles = [word for name in ("gpu", "cpu", "monitoring") for word in ("--profile", name)]
    command = [docker, "compose", "-f", str(COMPOSE), *profiles, "config", "--quiet"]

    ended = subprocess.run(command, env={**os.environ, **PASSWORD}, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_password_is_made_up() -> None:
    with pytest.raises(AssertionError, match="LOWLAND_REDIS_PASSWORD is missing: give the Redis here a password"):
        services()


def test_no_password_stands_on_a_command_line() -> None:
    given = json.dumps([[one.get("command"), one.get("healthcheck")] for one in services(**PASSWORD).values()])

    assert PASSWORD["LOWLAND_REDIS_PASSWORD"] not in given


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_can_harm_nothing_but_its_volumes(name: str) -> None:
    service = services(**PASSWORD)[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert images()[service["build"]["target"]].user == "lowland"
    assert images()[service["build"]["target"]].health, "the image says how it is"


@pytest.mark.parametrize("name", ["worker", "worker-cpu"])
def test_a_worker_has_the_time_that_its_engines_may_take(name: str) -> None:
    grace = re.fullmatch(r"(\d+)s", services(**PASSWORD)[name]["stop_grace_period"])

    assert grace
    assert int(grace[1]) >= WorkerSettings().grace_s + 10


def test_only_this_machine_reaches_what_is_published() -> None:
    published = [port for service in services(**PASSWORD).values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("172.18.0.1", "203.0.113.9", "203.0.113.9"),
        ("172.18.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
    ],
    ids=["by the proxy", "who says it was somebody else", "past the proxy"],
)
def test_a_client_cannot_choose_its_address(peer: str, forwarded: str, client: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    trusted = services(**PASSWORD)["api"]["environment"]["FORWARDED_ALLOW_IPS"]
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers, "scheme": "http"}
    nothing: Any = None
    anyio.run(ProxyHeadersMiddleware(app, trusted), scope, nothing, nothing)

    assert seen == [client]


def test_everything_restarts_and_workers_belong_to_a_profile() -> None:
    found = services(**PASSWORD)

    assert {name: service["restart"] for name, service in found.items()} == {
        "redis": "unless-stopped",
        "api": "unless-stopped",
        "keeper": "unless-stopped",
        "worker": "unless-stopped",
        "worker-cpu": "unless-stopped",
        "prometheus": "unless-stopped",
    }
    profiles = {name: service["profiles"] for name, service in found.items() if "profiles" in service}
    assert profiles == {"worker": ["gpu"], "worker-cpu": ["cpu"], "prometheus": ["monitoring"]}


def test_folders_of_ours_that_are_mounted_are_there() -> None:
    volumes = [str(volume) for service in services(**PASSWORD).values() for volume in service.get("volumes", [])]
    mounted = [volume.split(":")[0] for volume in volumes if volume.startswith("./")]

    assert mounted == ["./deploy/prometheus"]
    assert (ROOT / "deploy/prometheus/prometheus.yml").is_file()


def test_prometheus_scrapes_the_api_with_a_key_that_is_mounted() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    found = services(**PASSWORD)

    name, _, port = target.partition(":")
    assert [mapping.rpartition(":")[2] for mapping in found[name]["ports"]] == [port]
    assert images()[found[name]["build"]["target"]].command.count(port) == 1
    mounted = dict(str(volume).split(":")[:2] for volume in found["prometheus"]["volumes"])
    assert job["authorization"]["credentials_file"] == f"{mounted['./deploy/prometheus']}/key"


def test_volumes_that_images_write_to_belong_to_their_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    made = set(" ".join(re.findall(r"install -d -o lowland -g lowland (.*)", text)).split())
    volumes = {
        str(volume).split(":")[1]
        for name in OURS
        for volume in services(**PASSWORD)[name]["volumes"]
        if not str(volume).endswith(":ro")
    }

    assert volumes == made
