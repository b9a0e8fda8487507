"""What a machine offers, found from outside of CUDA."""

import os
from pathlib import Path

import pytest

from ledger import Slot
from worker.devices import engine_environment, machine_of
from worker.settings import WorkerSettings

#: What nvidia-smi answers on a machine with two GPUs.
TWO_GPUS = "0, GPU-aaaa, 81559, NVIDIA H100 80GB HBM3\n1, GPU-bbbb, 15360, Tesla T4\n"


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose driver shows two GPUs, and whose nvidia-smi answers; gives the tool."""
    for number, model in enumerate(("NVIDIA H100 80GB HBM3", "Tesla T4")):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 1\n")
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nprintf '{TWO_GPUS}'\n")
    tool.chmod(0o755)
    monkeypatch.setattr("worker.devices._NVIDIA", tmp_path / "gpus")
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    return tool


def shown(slots: object) -> list[tuple[str, str, int]]:
    assert isinstance(slots, list)
    return [(slot.name, slot.model, round(slot.memory_gb)) for slot in slots if isinstance(slot, Slot)]


def test_a_machine_without_gpus_offers_cpu_slots() -> None:
    machine = machine_of(WorkerSettings(slots=2, labels=["a"], running_per_owner=3, reserve_after_s=1.5))

    assert machine.classes == ["any", "cpu"]
    assert [(slot.name, slot.memory_gb) for slot in machine.slots] == [("cpu:0", 0.0), ("cpu:1", 0.0)]
    assert machine.slots[0].model
    assert (machine.labels, machine.running_per_owner, machine.reserve_after_ms) == (["a"], 3, 1500)


def test_gpus_are_offered_with_their_model_and_memory(gpus: Path) -> None:
    machine = machine_of(WorkerSettings())

    assert machine.classes == ["any", "cuda"]
    assert shown(machine.slots) == [("cuda:0", "NVIDIA H100 80GB HBM3", 86), ("cuda:1", "Tesla T4", 16)]


def test_a_gpu_is_offered_in_parts_with_a_share_of_its_memory(gpus: Path) -> None:
    slots = shown(machine_of(WorkerSettings(slots_per_gpu=2)).slots)

    assert [(name, memory) for name, _, memory in slots] == [
        ("cuda:0.0", 43),
        ("cuda:0.1", 43),
        ("cuda:1.0", 8),
        ("cuda:1.1", 8),
    ]


@pytest.mark.parametrize(
    ("visible", "names"),
    [("1", ["cuda:1"]), ("GPU-bbbb,0", ["cuda:1", "cuda:0"]), ("", ["cpu:0"]), ("-1", ["cpu:0"]), ("7", ["cuda:7"])],
)
def test_only_visible_gpus_are_offered(
    gpus: Path, monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert [slot.name for slot in machine_of(WorkerSettings()).slots] == names


def test_without_nvidia_smi_models_are_known_and_memory_is_not(gpus: Path) -> None:
    gpus.write_text("#!/bin/sh\nexit 9\n")

    assert shown(machine_of(WorkerSettings()).slots) == [
        ("cuda:0", "NVIDIA H100 80GB HBM3", 0),
        ("cuda:1", "Tesla T4", 0),
    ]


@pytest.mark.parametrize(
    ("device", "visible"), [("cuda:1", "1"), ("cuda:0,cuda:3", "0,3"), ("cuda:2.1", "2"), ("cpu:0", "")]
)
def test_an_engine_sees_its_devices_alone(device: str, visible: str) -> None:
    environment = engine_environment(device, WorkerSettings(), slots=4)

    assert environment["CUDA_VISIBLE_DEVICES"] == visible
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_labels_come_with_commas_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLAND_LABELS", "fast, zone/b")

    assert WorkerSettings().labels == ["fast", "zone/b"]
