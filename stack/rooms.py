"""The programs of the house: what runs, in which environment, and how long each may take to stop.

All grace times together stay below ten seconds: a stopped API, keeper and worker are waited for 0.5, 0.5 and 7 s, Redis
after them 1.5 s.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stack.folder import DataFolder
from stack.supervisor import Program
from stack.valkey import Embedded

#: The checkout: its rooms are what the children run.
ROOT: Final = Path(__file__).resolve().parent.parent
#: Seconds a worker gives its engines to write their checkpoints; less than what it is itself given to stop.
_ENGINE_GRACE_S: Final = 5


def environment(folder: DataFolder, *, redis_url: str, workers: int | None, require_api_key: bool) -> dict[str, str]:
    """What every child finds in its environment: how to reach the others, and what the user has set."""
    ours = dict(os.environ)
    for name, value in ours.items():
        if name.startswith("LOWLAND_") and name.endswith("_DIR") and "://" not in value:
            ours[name] = str(Path(value).expanduser().absolute())  # the children work in another folder
    ours.setdefault("LOWLAND_ARTIFACT_DIR", str(folder.artifacts))
    ours.setdefault("LOWLAND_GRACE_S", str(_ENGINE_GRACE_S))
    ours.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder.cache))  # else torch makes one in the temporary folder
    # they write to pipes of ours, whoever reads at the end
    ours.setdefault("LOWLAND_LOG_FORMAT", "console" if sys.stderr.isatty() else "json")
    ours["LOWLAND_REDIS_URL"] = redis_url
    if require_api_key:
        ours["LOWLAND_REQUIRE_API_KEY"] = "true"
    if workers is not None:
        ours["LOWLAND_SLOTS"] = str(workers)
    ours["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), ours.get("PYTHONPATH")]))
    ours["PYTHONUNBUFFERED"] = "1"
    return ours


def valkey(server: Embedded, folder: DataFolder) -> Program:
    """The embedded server. It keeps the data folder locked for as long as it writes to it."""
    return Program(
        name="valkey",
        argv=server.argv,
        environment=os.environ | {"LC_ALL": "C"},  # it does not start under a locale the machine does not have
        folder=folder.valkey,
        grace_s=1.5,
        patience_s=1.5,
        foundation=True,
        kept_open=(folder.lock,),
    )


def rooms(host: str, port: int, folder: DataFolder, variables: Mapping[str, str]) -> list[Program]:
    """Worker, keeper and API, in the order of their starts."""

    private = {name: value for name, value in variables.items() if name != "LOWLAND_API_KEYS"}

    def room(name: str, *module: str, grace_s: float, patience_s: float, may_finish: bool = False) -> Program:
        return Program(
            name=name,
            argv=(sys.executable, "-m", *module),
            environment=variables if name == "api" else private,  # an engine, say, needs no keys
            folder=folder.path,  # Python and celery import from the working folder first; in this one lies no code
            grace_s=grace_s,
            patience_s=patience_s,
            may_finish=may_finish,
        )

    # the same at every start, so that it ends what its predecessor left; another one for another data folder
    name = f"{hashlib.sha256(str(folder.path).encode()).hexdigest()[:8]}@%h"
    celery = ("celery", "-A", "worker.app", "worker", "-n", name)
    listen = ("--host", host, "--port", str(port))
    uvicorn = (
        "uvicorn",
        "api.main:app",
        *listen,
        "--timeout-graceful-shutdown",
        "3",
        "--ws",
        "none",
    )
    return [
        room("worker", *celery, grace_s=7.0, patience_s=7.0, may_finish=True),  # by a drain
        room("keeper", "worker.keeper", grace_s=2.0, patience_s=0.5),
        room("api", *uvicorn, grace_s=3.5, patience_s=0.5),
    ]
