"""Where and in what arithmetic a job is computed."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import torch

from worker.engine.errors import DeviceUnavailable

Precision = Literal["fp32", "bf16"]

_DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to train on: `auto` is the first GPU this process may see, else the CPU.

    Raises:
        DeviceUnavailable: a GPU was asked for and there is none.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if wanted == "cuda":
        raise DeviceUnavailable(wanted)
    return torch.device("cpu")


def choose_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """The arithmetic of the passes. Nothing is measured for `auto`; this is the table:

    | device                                                | auto |
    |-------------------------------------------------------|------|
    | CUDA that computes in bf16 (compute capability ≥ 8.0) | bf16 |
    | other CUDA                                            | fp32 |
    | CPU with AVX512-BF16 or AMX-BF16                      | bf16 |
    | other CPU (bf16 is emulated, and many times slower)   | fp32 |
    """
    if wanted == "auto":
        return "bf16" if _BF16_IN_HARDWARE[device.type]() else "fp32"
    if wanted == "fp16":
        raise ValueError("precision is fp16, which needs a loss scaler; give fp32 or bf16")
    return wanted


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a model runs forward; weights stay fp32."""
    return torch.autocast(device.type, dtype=_DTYPES[precision], enabled=precision != "fp32")


@contextmanager
def computing(device: torch.device, *, deterministic: bool, threads: int | None) -> Iterator[None]:
    """Set torch up for the run, and put back what is not this run's own when it is over."""
    before = {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,  # pyright: ignore[reportAttributeAccessIssue]: set up by torch at import
        "benchmark": torch.backends.cudnn.benchmark,
    }
    if threads is not None:
        torch.set_num_threads(threads)
    if deterministic and device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, and reads this when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
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


def _cuda_has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _cpu_has_bf16() -> bool:
    # No public function tells what the CPU computes natively; these two have been there since torch 2.4.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


_BF16_IN_HARDWARE: Final = {"cuda": _cuda_has_bf16, "cpu": _cpu_has_bf16}
