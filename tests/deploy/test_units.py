"""The units of systemd: what systemd says of them, and a job through what they start, each with its own environment."""

import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from stack.valkey import find_server
from tests.conftest import answers, free_port
from tests.deploy.files import UNITS, Unit, example_environment, units
from tests.deploy.processes import Running, ends, replaced, run_a_job, running
from tests.faults.fleet import PATIENCE_S
from tests.stack.house import LOWLAND, ROOT
from tests.waiting import until
from worker.settings import WorkerSettings

#: Where the units have Lowland, and what they keep where.
HOME: Final = "/opt/lowland"
PLACES: Final = {"/srv/lowland/artifacts": "artifacts", "/var/lib/lowland": "state", "/var/cache/lowland": "cache"}
BY_NAME: Final = {unit.name.removeprefix("lowland-").removesuffix(".service"): unit for unit in units()}


@pytest.mark.parametrize("name", ["api", "keeper", "worker"])
def test_systemd_has_nothing_to_say_against_the_unit(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed; what the tests below read is tried all the same")
    copy = tmp_path / BY_NAME[name].name
    text = (UNITS / copy.name).read_text().replace(f"{HOME}/.venv/bin", str(Path(sys.executable).parent))
    copy.write_text(text.replace(HOME, str(ROOT)))

    ended = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    judged = [analyze, "security", "--offline=yes", "--threshold=40", str(copy)]  # of 100, which is no protection
    assert subprocess.run(judged, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_a_unit_may_write_to_the_store_and_its_own_folders_only(unit: Unit) -> None:
    own = {f"/var/{kind}/{name}" for kind, name in _own_folders(unit)}
    written = {value for key, value in unit.environment.items() if key.endswith(("_DIR", "_HOME"))}

    assert unit.one("User") == "lowland"
    assert unit.one("ProtectSystem") == "strict"
    assert unit.one("NoNewPrivileges") == "yes"
    assert unit.one("RequiresMountsFor") == unit.one("ReadWritePaths") == "/srv/lowland/artifacts"
    assert all(path.startswith(("/srv/lowland/artifacts", *own)) for path in written)


def test_a_worker_has_the_time_that_its_engines_may_take() -> None:
    worker = BY_NAME["worker"]

    assert worker.one("KillMode") == "mixed"
    assert int(worker.one("TimeoutStopSec")) >= WorkerSettings().grace_s + 10
    assert worker.one("Restart") == "on-failure"


def test_the_example_sets_what_there_is() -> None:
    known = set(re.findall(r"`(LOWLAND_\w+)`", (ROOT / "docs/reference/settings.md").read_text()))
    shown = set(re.findall(r"^#?(LOWLAND_\w+)=", (UNITS / "lowland.env.example").read_text(), re.MULTILINE))

    assert {"LOWLAND_REDIS_URL", "LOWLAND_REQUIRE_API_KEY", "LOWLAND_LABELS"} <= shown <= known


@pytest.mark.timeout(300)
def test_a_job_runs_through_everything_that_the_units_start(tmp_path: Path) -> None:
    redis_port, api_port = free_port(), free_port()
    for folder in PLACES.values():
        (tmp_path / folder).mkdir()
    url = f"redis://127.0.0.1:{redis_port}/0"
    valkey = [find_server(), "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    changes = {
        f"{HOME}/.venv/bin": str(Path(sys.executable).parent),
        HOME: str(ROOT),
        "--port 8000": f"--port {api_port}",
        **{path: str(tmp_path / folder) for path, folder in PLACES.items()},
    }
    given = {**example_environment(), "LOWLAND_REDIS_URL": url}

    with ExitStack() as stack:
        stack.enter_context(running("redis", valkey, {"LC_ALL": "C"}, tmp_path))
        until(lambda: answers(url), "Redis answers")
        parts: dict[str, Running] = {}
        for name, unit in BY_NAME.items():
            (command,) = replaced([unit.one("ExecStart")], changes)
            variables = {**unit.environment, **given}  # a file counts for more than the unit
            environment = dict(zip(variables, replaced(list(variables.values()), changes), strict=True))
            at = Path(*replaced([unit.one("WorkingDirectory")], changes))
            parts[name] = stack.enter_context(running(name, command.split(), environment, tmp_path, at=at))
        until(lambda: "worker enrolled" in parts["worker"].log, "the worker enrolls", seconds=PATIENCE_S)
        until(lambda: "startup complete" in parts["api"].log, "the API serves", seconds=PATIENCE_S)
        create = f"{LOWLAND} keys create --owner ada --scopes read,submit".split()
        made = ends(create, {"LOWLAND_REDIS_URL": url, "PYTHONPATH": str(ROOT)}, tmp_path)
        assert made.returncode == 0, made.stderr

        run_a_job(f"http://127.0.0.1:{api_port}", made.stdout.strip())

        for name, unit in BY_NAME.items():
            assert parts[name].stop(int(unit.one("TimeoutStopSec"))) in _CLEAN, parts[name].log


#: What systemd takes for an orderly end.
_CLEAN: Final = {0, -15}


def _own_folders(unit: Unit) -> list[tuple[str, str]]:
    kinds = {"StateDirectory": "lib", "CacheDirectory": "cache"}
    return [(kind, name) for setting, kind in kinds.items() for name in unit.all(setting)]
