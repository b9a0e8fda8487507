"""Small jobs on functions, and what their runs leave behind."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lowland.spec.job import JobSpec

#: Gradient descent and nothing else, slow enough for Rosenbrock's function.
PLAIN: Final[Mapping[str, Any]] = {"name": "sgd", "lr": 0.001, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}


def job(**fields: Any) -> JobSpec:
    """Ten plain steps of SAM down Rosenbrock's function, with other fields where given."""
    rosenbrock = {"function": "rosenbrock", "start": [-1.2, 1.0], "steps": 10, "sam": "sam", "optimizer": PLAIN}
    return JobSpec.parse({**rosenbrock, **fields})


def path_of(folder: Path) -> list[dict[str, Any]]:
    """The places a run went to, from its path.json."""
    return json.loads((folder / "path.json").read_text())["path"]
