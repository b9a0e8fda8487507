"""What a finished run leaves behind: the weights, what they were made from, and how it went.

model.safetensors   the selected weights
manifest.json       spec, versions, device, sizes, results
metrics.jsonl       one line an epoch
"""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Final

import safetensors.torch
import torch
from torch import Tensor

import lowland
from lowland.spec.reports import ArtifactWritten
from worker.engine.files import write_file
from worker.engine.reporting import Reporter

#: The packages whose versions may decide a result.
_PACKAGES: Final = ("torchvision", "numpy", "scikit-learn", "safetensors", "pydantic")


def write_artifacts(
    folder: Path,
    reporter: Reporter,
    *,
    weights: Mapping[str, Tensor],
    manifest: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
) -> None:
    """Write and report each of the three."""
    # Layout is the device's business, not the file's: the same weights give the same bytes.
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    lines = "".join(json.dumps(row) + "\n" for row in history)
    about = json.dumps({**manifest, "versions": _versions()}, indent=2) + "\n"
    artifacts: list[tuple[str, str, bytes]] = [
        ("model.safetensors", "application/octet-stream", safetensors.torch.save(tensors)),
        ("manifest.json", "application/json", about.encode()),
        ("metrics.jsonl", "application/jsonl", lines.encode()),
    ]
    for name, media_type, contents in artifacts:
        written = write_file(folder / name, _writing(contents))
        reporter.send(
            ArtifactWritten(name=name, size_bytes=written.size_bytes, sha256=written.sha256, media_type=media_type)
        )


def _writing(contents: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(contents)


def _versions() -> dict[str, str]:
    return {
        "lowland": lowland.__version__,
        "python": platform.python_version(),
        # With the build: the same release computes differently on another CUDA version.
        "torch": str(torch.__version__),
        **{name: metadata.version(name) for name in _PACKAGES},
    }
