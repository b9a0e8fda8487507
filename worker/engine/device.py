"""Where and in what arithmetic a job is computed."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import torch

from lowland.networks.shape import InputShape, Vector
from worker.engine.errors import DeviceUnavailable
from worker.engine.memory import keep_freed_memory

#: Of an image for which a CPU computes in bf16 of its own accord.
LEAST_PIXELS: Final = 16 * 16

#: Where Linux says how much memory a container may use, or "max".
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

Precision = Literal["fp32", "bf16", "fp16"]

_DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(wanted: Literal["auto", "cpu", "cuda"], *, rank: int = 0) -> torch.device:
    """The device to train on: `auto` is a GPU where this process may see one, else the CPU.

    Args:
        rank: of a data-parallel process; each has a GPU of its own.

    Raises:
        DeviceUnavailable: a GPU was asked for and there is none, or fewer than ranks.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available() or rank >= torch.cuda.device_count():
        raise DeviceUnavailable(wanted, found=torch.cuda.device_count() if torch.cuda.is_available() else 0)
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    return device


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device, inputs: InputShape
) -> Precision:
    """The arithmetic of the passes. Nothing is measured for `auto`; this is the table:

    | device                                                     | auto |
    |------------------------------------------------------------|------|
    | CUDA that computes in bf16 (compute capability ≥ 8.0)      | bf16 |
    | other CUDA                                                 | fp32 |
    | CPU with AVX512-BF16 (those with AMX have it too), images  | bf16 |
    | of at least 16 x 16 pixels                                 |      |
    | other CPU, other inputs                                    | fp32 |

    `benchmarks/precision.py` measures it. On a CPU where bf16 is emulated, a step takes many times as long. Of small
    inputs bf16 makes little faster, and its kernels share even those out among all threads, which then wait for each
    other wherever other processes keep the cores busy.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    is_small = isinstance(inputs, Vector) or inputs.height * inputs.width < LEAST_PIXELS
    # torch.cpu.get_capabilities, which is public, is younger than the oldest torch that is supported.
    return "bf16" if not is_small and torch.cpu._is_avx512_bf16_supported() else "fp32"


def memory_of(device: torch.device) -> int:
    """All the memory there is, in bytes; of the host what a container allows."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return host
    return min(host, int(allowed)) if allowed.isdecimal() else host


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a model runs forward; weights stay fp32."""
    return torch.autocast(device.type, dtype=_DTYPES[precision], enabled=precision != "fp32")


@contextmanager
def computing(device: torch.device, *, deterministic: bool, threads: int | None, ranks: int = 1) -> Iterator[None]:
    """Set torch up for the run, and put back what is not this run's own when it is over.

    Args:
        threads: of all ranks together, which share them out; None is one per core.
    """
    before = {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,  # pyright: ignore[reportAttributeAccessIssue]: set up by torch at import
        "benchmark": torch.backends.cudnn.benchmark,
    }
    if threads is not None or ranks > 1:
        torch.set_num_threads(max(1, (threads or torch.get_num_threads()) // ranks))
    if deterministic and device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, and reads this when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if device.type == "cpu":
        keep_freed_memory()
    try:
        _set(deterministic=deterministic, fill=False, benchmark=not deterministic)
        yield
    finally:
        _set(**before)


def _set(*, deterministic: bool, fill: bool, benchmark: bool) -> None:
    torch.use_deterministic_algorithms(deterministic)
    # Filling memory that is about to be overwritten helps to find mistakes and costs time; it changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = fill  # pyright: ignore[reportAttributeAccessIssue]: set up by torch at import
    torch.backends.cudnn.benchmark = benchmark
