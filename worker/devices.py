"""The devices of this machine, found without touching CUDA: a process that did could not fork engines."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger import Machine, Slot
from worker.settings import WorkerSettings

_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")
_CPUS: Final = Path("/proc/cpuinfo")
_QUERY: Final = ("nvidia-smi", "--query-gpu=index,uuid,memory.total,name", "--format=csv,noheader,nounits")
#: How long nvidia-smi may take; it wakes the driver where nothing else has.
_QUERY_S: Final = 30.0
#: It counts in MiB.
_GB_PER_MIB: Final = 2**20 / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gpu:
    index: str
    uuid: str
    model: str
    memory_gb: float
    """0 where it is not known."""


def machine_of(settings: WorkerSettings) -> Machine:
    """What this machine offers: `cuda:0`, `cuda:1`, ... with GPUs, else `cpu:0`, `cpu:1`, ..."""
    gpus = _visible_gpus(settings)
    slots = [slot for gpu in gpus for slot in _parts(gpu, settings.slots_per_gpu)][: settings.slots]
    if not slots:
        model = _cpu_model()
        slots = [Slot(name=f"cpu:{index}", model=model) for index in range(settings.slots or 1)]
    return Machine(
        classes=["any", "cuda" if gpus else "cpu"],
        slots=slots,
        labels=settings.labels,
        running_per_owner=settings.running_per_owner,
        reserve_after_ms=round(settings.reserve_after_s * 1000),
    )


def engine_environment(device: str, settings: WorkerSettings, *, slots: int) -> dict[str, str]:
    """What an engine must find in its environment to use its devices and its share of the cores, and nothing else.

    Args:
        device: one slot, or several with commas.
        settings: of the machine.
        slots: of the machine, all together.
    """
    names = device.split(",")
    # of a part of a GPU the number of the GPU
    indices = [name.partition(":")[2].partition(".")[0] for name in names]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores * len(names) // slots)
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(indices) if device.startswith("cuda") else "",
        "LOWLAND_THREADS": str(settings.threads or share),
    }


def _parts(gpu: _Gpu, count: int) -> list[Slot]:
    suffixes = [""] if count == 1 else [f".{part}" for part in range(count)]
    memory_gb = gpu.memory_gb / count
    return [Slot(name=f"cuda:{gpu.index}{suffix}", model=gpu.model, memory_gb=memory_gb) for suffix in suffixes]


def _visible_gpus(settings: WorkerSettings) -> list[_Gpu]:
    wanted = settings.cuda_visible_devices
    if wanted is None:
        return _gpus()
    names = [part.strip() for part in wanted.split(",") if part.strip() not in {"", "-1"}]
    known = _gpus() if names else []
    by_name: Mapping[str, _Gpu] = {gpu.index: gpu for gpu in known} | {gpu.uuid: gpu for gpu in known}
    return [by_name.get(name) or _Gpu(index=name, uuid=name, model="GPU", memory_gb=0.0) for name in names]


def _gpus() -> list[_Gpu]:
    if not _NVIDIA.is_dir():
        return []
    try:
        listed = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=_QUERY_S).stdout
    except (OSError, subprocess.SubprocessError):  # the tool is not everywhere the driver is
        folders = sorted(_NVIDIA.iterdir())
        return [_Gpu(index=str(i), uuid="", model=_told(one), memory_gb=0.0) for i, one in enumerate(folders)]
    rows = [[cell.strip() for cell in line.split(",", 3)] for line in listed.splitlines() if line.strip()]
    return [
        _Gpu(index=index, uuid=uuid, model=model, memory_gb=float(mib) * _GB_PER_MIB if mib.isdigit() else 0.0)
        for index, uuid, mib, model in rows
    ]


def _told(folder: Path) -> str:
    """The model of a GPU as the driver tells it."""
    found = re.search(r"^Model:\s*(.+)$", (folder / "information").read_text(), re.MULTILINE)
    return found[1].strip() if found else "GPU"


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _CPUS.read_text(), re.MULTILINE) if _CPUS.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()
