"""What a job has trained, as a torch module. torch is imported here, when it is wanted, and nowhere else in the client.

`artifact_of(job)` says what to download, and refuses before anything is; `load(job, path)` reads it.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lowland.errors import NoWeights, TorchMissing
from lowland.spec.job import JobSpec
from lowland.spec.models import WEIGHTS_FILES, Torchvision
from lowland.spec.resource import Job

if TYPE_CHECKING:
    from lowland.networks import Trained


def artifact_of(job: Job) -> str:
    """The name of the job's artifact that `load` reads.

    Raises:
        NoWeights: the job minimises a function, or has no weights yet.
        TorchMissing: torch is not installed, or torchvision for one of its models: there is no use in downloading it.
    """
    name = WEIGHTS_FILES["best"]
    if job.spec.function is not None:
        raise NoWeights(job.id, "it minimises a function; path.json has the path it took")
    if name not in {artifact.name for artifact in job.artifacts}:
        raise NoWeights(job.id, f"it is {job.status} and has no {name}, which comes when it succeeds")
    _need_torch(job.spec)
    return name


def load(job: Job, weights: Path) -> "Trained":
    """The network that the job has trained, on the CPU and in eval mode. It takes samples as they are.

    Args:
        job: whose weights they are.
        weights: its `model.safetensors`, downloaded.

    Raises:
        NoWeights: the job has none.
        TorchMissing: torch is not installed, or torchvision for one of its models.
        WeightsUnusable: the file is damaged, or was written before it said which network it is of.
    """
    artifact_of(job)
    from lowland.networks import load  # noqa: PLC0415  torch takes seconds, and may be missing

    return load(weights)


def _need_torch(spec: JobSpec) -> None:
    needed = ["torch", "safetensors", *(["torchvision"] if isinstance(spec.model, Torchvision) else [])]
    if missing := next((name for name in needed if find_spec(name) is None), None):
        raise TorchMissing(missing)
