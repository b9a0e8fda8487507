"""What a finished run leaves behind: files that are there complete or not at all, each reported with its checksum.

Every task writes manifest.json, what the run was made from, and metrics.jsonl, how it went.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import torch

import lowland
from lowland.spec.job import JobSpec
from lowland.spec.reports import ArtifactWritten
from worker.engine.files import write_file
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


def write_artifact(folder: Path, reporter: Reporter, name: str, media_type: str, contents: bytes) -> None:
    """Write a file and report it."""
    written = write_file(folder / name, lambda file: file.write(contents))
    reporter.send(
        ArtifactWritten(name=name, size_bytes=written.size_bytes, sha256=written.sha256, media_type=media_type)
    )


def write_manifest(folder: Path, reporter: Reporter, spec: JobSpec, about: Mapping[str, Any]) -> None:
    """manifest.json: the spec, its checksum, the versions, and what the task has to say."""
    resolved = spec.model_dump(mode="json")
    canonical = json.dumps(resolved, sort_keys=True, separators=(",", ":"))
    manifest = {
        "spec": resolved,
        "spec_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "seed": spec.seed,
        **about,
        "versions": library_versions(),
        "git_revision": git_revision(),
    }
    write_artifact(
        folder, reporter, "manifest.json", "application/json", (json.dumps(manifest, indent=2) + "\n").encode()
    )


def write_series(folder: Path, reporter: Reporter, rows: Sequence[Mapping[str, Any]]) -> None:
    """metrics.jsonl: one line a point of the series."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_artifact(folder, reporter, "metrics.jsonl", "application/jsonl", lines.encode())


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
