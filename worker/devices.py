"""The devices of this machine, found without touching CUDA: a process that did could not fork engines."""

import os
from pathlib import Path
from typing import Final

from worker.settings import WorkerSettings

_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")


def devices(settings: WorkerSettings) -> list[str]:
    """One name per slot: `cuda:0`, `cuda:1`, ... with GPUs, else `cpu:0`, `cpu:1`, ..."""
    gpus = _gpus(settings)
    if not gpus:
        return [f"cpu:{index}" for index in range(settings.slots or 1)]
    return [f"cuda:{index}" for index in gpus[: settings.slots]]


def device_classes(names: list[str]) -> list[str]:
    """The classes of jobs a machine with these devices takes."""
    return ["any", names[0].partition(":")[0]]


def engine_environment(device: str, settings: WorkerSettings) -> dict[str, str]:
    """What an engine must find in its environment to use its devices and its share of the cores, and nothing else.

    Args:
        device: one, or several with commas.
    """
    names = device.split(",")
    indices = [name.partition(":")[2] for name in names]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores * len(names) // len(devices(settings)))
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(indices) if device.startswith("cuda") else "",
        "LOWLAND_THREADS": str(settings.threads or share),
    }


def _gpus(settings: WorkerSettings) -> list[str]:
    if settings.cuda_visible_devices is not None:
        return [part.strip() for part in settings.cuda_visible_devices.split(",") if part.strip() not in {"", "-1"}]
    return [str(index) for index, _ in enumerate(_NVIDIA.iterdir())] if _NVIDIA.is_dir() else []
