"""The worker's settings, read from the environment."""

from typing import Literal

from pydantic import Field

from ledger import LedgerSettings


class WorkerSettings(LedgerSettings):
    """What a worker machine needs to know. Variables are named `LOWLAND_` and the field's name."""

    slots: int | None = Field(default=None, ge=1, le=256)
    """Jobs trained at once; by default one per GPU, or 1 on a machine without."""
    cuda_visible_devices: str | None = Field(default=None, validation_alias="CUDA_VISIBLE_DEVICES")
    """The GPUs to use, as CUDA reads it; by default all."""
    threads: int | None = Field(default=None, ge=1)
    """Threads each engine computes with on a CPU; by default its share of the cores."""
    grace_s: float = Field(default=20.0, gt=0)
    """How long an engine that was asked to stop may take to write its checkpoint."""
    engine_start: Literal["fork", "subprocess"] = "fork"
    """How engines start: forked from a process that has torch loaded (Linux), or as a program of their own, slower."""
