"""The settings of worker and keeper, read from the environment."""

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from ledger import LedgerSettings
from lowland.spec.job import MachineLabel


class WorkerSettings(LedgerSettings):
    """What a worker machine needs to know. Variables are named `LOWLAND_` and the field's name."""

    slots: int | None = Field(default=None, ge=1, le=256)
    """Jobs trained at once; by default one per GPU (times `slots_per_gpu`), or 1 on a machine without."""
    slots_per_gpu: int = Field(default=1, ge=1, le=64)
    """Small jobs that share one GPU; each counts on its share of the memory, and nothing holds it to that."""
    labels: Annotated[list[MachineLabel], NoDecode] = Field(default=[])
    """What jobs may ask for by `resources.labels`, with commas between."""
    cuda_visible_devices: str | None = Field(default=None, validation_alias="CUDA_VISIBLE_DEVICES")
    """The GPUs to use, as nvidia-smi numbers them; by default all."""
    threads: int | None = Field(default=None, ge=1)
    """Threads each engine computes with on a CPU; by default its share of the cores."""
    grace_s: float = Field(default=20.0, gt=0)
    """How long an engine that was asked to stop may take to write its checkpoint."""
    engine_start: Literal["fork", "subprocess"] = "fork"
    """How engines start: forked from a process that has torch loaded (Linux), or as a program of their own, slower."""
    running_per_owner: int | None = Field(default=None, ge=1)
    """Jobs that one owner may have running; this worker claims none beyond. By default there is no limit."""
    reserve_after_s: float = Field(default=300.0, ge=0)
    """How long a job that needs more devices than are free waits before this worker keeps what gets free for it."""

    @field_validator("labels", mode="before")
    @classmethod
    def _split(cls, labels: object) -> object:
        return [label.strip() for label in labels.split(",") if label.strip()] if isinstance(labels, str) else labels


class KeeperSettings(LedgerSettings):
    """What a keeper needs to know. Variables are named `LOWLAND_` and the field's name."""

    retention_days: float | None = Field(default=None, gt=0, le=36_500)
    """How long finished jobs are kept, with their artifacts; by default for ever."""
    webhook_private: bool = False
    """Whether webhooks may go to loopback and private addresses."""
