"""From a job to its network, or to the reason why there is none."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lowland.client import weights
from lowland.errors import NoWeights
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Artifact, Job
from tests.lowland.test_forecast import FUNCTION, job
from tests.worker.engine.running import run, tiny

NAME = "model.safetensors"
#: Says what `artifact_of` and `load` say where a module cannot be imported.
WITHOUT = """
import sys
from pathlib import Path
from lowland.client import weights
from lowland.errors import TorchMissing
from lowland.spec.resource import Job

job, missing = Job.model_validate_json(sys.argv[1]), sys.argv[2]
sys.modules[missing] = None
for ask in (lambda: weights.artifact_of(job), lambda: weights.load(job, Path("nowhere"))):
    try:
        print(ask())
    except TorchMissing as error:
        print(error)
"""


def _done(**fields: Any) -> Job:
    made = Artifact(name=NAME, size_bytes=1, sha256="0" * 64, media_type="application/octet-stream", href="/")
    return job(tiny(**fields), artifacts=[made])


def test_a_job_s_network_is_loaded(tmp_path: Path) -> None:
    run(tiny(), tmp_path)

    model = weights.load(_done(), tmp_path / weights.artifact_of(_done()))

    assert model.description.model == tiny().model
    assert not model.training


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (job(JobSpec.parse(FUNCTION)), "it minimises a function; path.json has the path it took"),
        (
            job(tiny(), status=Status.RUNNING),
            "it is running and has no model.safetensors, which comes when it succeeds",
        ),
    ],
    ids=["function", "running"],
)
def test_a_job_without_weights_says_why(of: Job, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NoWeights) as refused:
        weights.artifact_of(of)
    with pytest.raises(NoWeights):
        weights.load(of, tmp_path / NAME)

    assert str(refused.value) == f"job {of.id} has no weights: {reason}"


@pytest.mark.parametrize("missing", ["torch", "safetensors", "torchvision"])
def test_what_is_missing_is_named_with_the_way_to_get_it_before_anything_is_downloaded(missing: str) -> None:
    model = {"name": "torchvision/resnet18"} if missing == "torchvision" else "mlp"
    arguments = [_done(model=model).model_dump_json(), missing]

    told = subprocess.run([sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=True)

    extra = "torchvision" if missing == "torchvision" else "torch"
    assert told.stdout.splitlines() == [
        f"no module {missing} is installed here; get it by pip install 'lowland[{extra}]'"
    ] * 2  # fmt: skip


def test_torchvision_is_needed_by_its_own_models_alone() -> None:
    arguments = [_done().model_dump_json(), "torchvision"]

    told = subprocess.run([sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False)

    assert told.stdout.splitlines() == [NAME]
    assert "FileNotFoundError" in told.stderr
