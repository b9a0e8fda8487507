"""What a worker says of its machine, as the ledger keeps it for the claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lowland.spec.versions import READ

_RESERVED: Final = str.maketrans({"=": " ", ";": " "})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Room for one job at a time: a device, or a part of one."""

    name: str
    """`cuda:0`, `cpu:0`; parts of one GPU are `cuda:0.0`, `cuda:0.1`, ..."""
    model: str
    """What kind of device."""
    memory_gb: float = 0.0
    """Of the GPU, in GB (10^9 bytes), or its share; 0 of a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a worker offers, and the policy it claims by."""

    classes: Sequence[str]
    """Device classes of the jobs it takes."""
    slots: Sequence[Slot]
    labels: Sequence[str] = ()
    versions: Sequence[int] = field(default=READ)
    """Versions of the job spec it reads."""
    running_per_owner: int | None = None
    """How many jobs one owner may have running; None does not limit it."""
    reserve_after_ms: int = 300_000
    """How long a job that needs more devices than are free waits before devices are kept free for it."""

    def to_fields(self) -> dict[str, str]:
        """As the worker's hash has it."""
        return {
            "classes": ",".join(self.classes),
            "slots": ";".join(
                f"{slot.name}={slot.memory_gb:g}={slot.model.translate(_RESERVED)}" for slot in self.slots
            ),
            "labels": ",".join(self.labels),
            "versions": ",".join(map(str, self.versions)),
            "running_per_owner": "" if self.running_per_owner is None else str(self.running_per_owner),
            "reserve_after_ms": str(self.reserve_after_ms),
        }


def read_slots(fields: Mapping[str, str]) -> list[Slot]:
    """The slots in a worker's hash."""
    parts = [one.split("=") for one in fields["slots"].split(";")]
    return [Slot(name=name, memory_gb=float(memory), model=model) for name, memory, model in parts]
