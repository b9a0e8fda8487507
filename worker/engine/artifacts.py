"""What a finished run leaves behind: files that are there complete or not at all, each reported with its checksum.

Every task writes manifest.json, what the run was made from, and metrics.jsonl, how it went.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch

import lowland
from lowland.spec.job import JobSpec
from lowland.spec.reports import ArtifactWritten
from worker.engine.files import write_files
from worker.engine.reporting import Reporter
from worker.engine.revision import git_revision

#: The packages whose versions may decide a result.
_PACKAGES: Final = (
    "torchvision",
    "numpy",
    "scikit-learn",
    "pyarrow",
    "pillow",
    "contourpy",
    "safetensors",
    "pydantic",
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to be handed over."""

    name: str
    media_type: str
    contents: bytes


def write_artifacts(folder: Path, reporter: Reporter, artifacts: Sequence[Artifact]) -> None:
    """Write files and report them."""
    files = {one.name: partial(_write_contents, one.contents) for one in artifacts}
    reporter.send(
        *(
            ArtifactWritten(
                name=written.name, size_bytes=written.size_bytes, sha256=written.sha256, media_type=one.media_type
            )
            for one, written in zip(artifacts, write_files(folder, files), strict=True)
        )
    )


def manifest(spec: JobSpec, about: Mapping[str, Any]) -> Artifact:
    """manifest.json: the spec, its checksum, the versions, and what the task has to say."""
    resolved = spec.model_dump(mode="json")
    canonical = json.dumps(resolved, sort_keys=True, separators=(",", ":"))
    contents = {
        "spec": resolved,
        "spec_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "seed": spec.seed,
        **about,
        "versions": library_versions(),
        "git_revision": git_revision(),
    }
    return Artifact("manifest.json", "application/json", (json.dumps(contents, indent=2) + "\n").encode())


def series(rows: Sequence[Mapping[str, Any]]) -> Artifact:
    """metrics.jsonl: one line a point of the series."""
    return Artifact("metrics.jsonl", "application/jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


def _write_contents(contents: bytes, file: BinaryIO) -> None:
    file.write(contents)


@cache
def library_versions() -> Mapping[str, str]:
    """Of everything that may decide a result."""
    return {
        "lowland": lowland.__version__,
        "python": platform.python_version(),
        # With the build: the same release computes differently on another CUDA version.
        "torch": str(torch.__version__),
        **{name: metadata.version(name) for name in _PACKAGES},
    }
