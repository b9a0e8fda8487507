"""What a machine is found to be able to do."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from lowland.networks import ImageShape, Vector
from tests.worker.engine.running import session_in, tiny
from worker.engine.building import build_run
from worker.engine.device import choose_precision, memory_of
from worker.engine.errors import MemoryTooSmall

CPU = torch.device("cpu")


def _square(side: int) -> ImageShape:
    return ImageShape(channels=1, height=side, width=side)


@pytest.mark.parametrize(
    ("inputs", "in_hardware", "precision"),
    [
        (_square(16), True, "bf16"),
        (_square(15), True, "fp32"),
        (Vector(values=10_000), True, "fp32"),
        (_square(16), False, "fp32"),
    ],
)
def test_a_cpu_computes_in_bf16_of_its_own_accord_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, inputs: ImageShape | Vector, in_hardware: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: in_hardware)

    assert choose_precision("auto", CPU, inputs) == precision


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_taken(wanted: Any) -> None:
    assert choose_precision(wanted, CPU, Vector(values=1)) == wanted


@pytest.mark.parametrize(
    ("limit", "is_less"), [("1000000\n", True), ("max\n", False), (f"{2**62}\n", False), (None, False)]
)
def test_the_hosts_memory_is_what_a_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, is_less: bool
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    monkeypatch.setattr("worker.engine.device._CGROUP_LIMIT", file)

    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_of(CPU) == (1_000_000 if is_less else host)


@pytest.mark.parametrize(
    "fields", [{}, {"dataset": {"name": "linear", "samples": 60}, "model": "mlp"}], ids=["images", "table"]
)
def test_a_job_for_which_all_memory_would_not_do_asks_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    spec = tiny(**fields)
    build_run(spec, session_in(tmp_path))
    monkeypatch.setattr("worker.engine.building.memory_of", lambda device: 1000)

    with pytest.raises(
        MemoryTooSmall, match=r"the job needs about .* GB, and its device has 0\.0 GB in all\. Lower"
    ) as told:
        build_run(spec, session_in(tmp_path))

    assert cast("MemoryTooSmall", told.value).type == "out-of-memory"
