"""Memory beside the base optimizer, in copies of the parameters, as each variant's file states it."""

import gc
from collections.abc import Iterator
from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.loops import every_variant
from tests.sam.problems import Value, build

#: Copies of w kept from step to step (the exact restore, averages, directions, masks), and those in the last pass of a
#: step, where its own gradient is not there yet.
KEPT = MappingProxyType(
    {"none": 0, "sam": 1, "ssam-f": 2, "ssam-d": 2, "friendly": 2, "imbsam": 1, "gsam": 1, "looksam": 2, "msam": 1}
    | {"esam": 1}
)
IN_THE_LAST_PASS = MappingProxyType({**KEPT, "friendly": 3, "imbsam": 2, "gsam": 2, "looksam": 3})

SIZE = 1000


class OneWeight:
    """Samples whose losses are linear in one large parameter; notes the tensors that live when they are asked for."""

    def __init__(self, w: nn.Parameter) -> None:
        self._w = w
        self._slopes = torch.arange(1.0, 5.0)
        self.seen: list[float] = []

    def __len__(self) -> int:
        return 4

    @property
    def labels(self) -> Tensor:
        return torch.tensor([0, 1, 2, 2])

    def losses(self, part: Tensor | None = None) -> Tensor:
        self.seen.append(copies_alive())
        slopes = self._slopes if part is None else self._slopes[part]
        return self._w.square().sum() * slopes


def copies_alive() -> float:
    """What all large floating-point tensors that live now store, in copies of the parameter."""
    return sum(storages()) / (4 * SIZE)


def storages() -> Iterator[int]:
    gc.collect()
    tensors = [
        t for t in gc.get_objects() if issubclass(type(t), Tensor) and t.numel() >= SIZE and t.is_floating_point()
    ]
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    # Of a gradient Python has an object only once it was looked at.
    sizes |= {
        t.grad.untyped_storage().data_ptr(): t.grad.untyped_storage().nbytes()
        for t in tensors
        if t.is_leaf and t.grad is not None
    }
    yield from sizes.values()


@every_variant
def test_memory_beside_the_base_optimizer_is_what_the_variants_file_says(name: str) -> None:
    gc.collect()
    w = nn.Parameter(torch.ones(SIZE))
    optimizer = build(name, [w], momentum=0.9, **({"k": 2} if name == "looksam" else {}))
    others = copies_alive() - 1
    batch = OneWeight(w)

    for _ in range(3):  # the third is a SAM step again where every second is
        batch.seen.clear()
        optimizer.step_on(batch)
    optimizer.zero_grad()

    beside_w_and_momentum = others + 2
    assert copies_alive() - beside_w_and_momentum == pytest.approx(KEPT[name])
    assert batch.seen[-1] - beside_w_and_momentum == pytest.approx(IN_THE_LAST_PASS[name])


@pytest.mark.parametrize("name", ["ssam-f", "ssam-d"])
def test_a_mask_of_weights_in_channels_last_is_one_copy(name: str) -> None:
    gc.collect()
    w = nn.Parameter(torch.ones(10, 10, 5, 2).to(memory_format=torch.channels_last))
    bias = nn.Parameter(torch.ones(SIZE))
    optimizer = build(name, [w, bias])
    before = copies_alive()

    optimizer.step_on(Value(lambda: w.square().sum() + bias.square().sum()))
    optimizer.zero_grad()

    assert copies_alive() - before == pytest.approx(2 * 2)  # the exact restore and the mask, of two parameters


def test_every_variant_states_its_memory() -> None:
    assert set(KEPT) == set(sam.VARIANTS)
