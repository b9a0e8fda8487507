"""The frame with variants of the tests' own: what the next variant file may count on."""

import math
from collections.abc import Mapping
from typing import final

import pytest
import torch
from torch import Tensor, nn

import sam
from sam._foreach import keep_if_
from sam._memory import Memory
from sam._passes import Pass, Passes
from sam._plan import ALWAYS
from sam.base import SamOptimizer
from tests.sam.problems import batch, copies, same_bits, smooth_net


@final
class HardestHalf(SamOptimizer):
    """Steps on the half of a batch with the largest losses (per-sample), and counts its steps (memory)."""

    def __init__(self, params: list[Tensor], **base_kwargs: object) -> None:
        super().__init__(
            params,
            torch.optim.SGD,
            settings={},
            options={},
            active=ALWAYS,
            base_kwargs=base_kwargs,
            model=None,
            rho_0_is_base=False,
        )

    def _check_options(self, options: Mapping[str, object]) -> None:
        pass

    def _passes(self) -> Passes:
        batch = self._batch_at_hand()

        def hardest() -> Tensor:
            losses = batch.losses()
            self._backward(losses.topk(len(losses) // 2).values.mean())
            return losses.mean().detach()

        yield Pass(may_stay_local=False, run=hardest)
        self._memory.write("seen", (self._memory.number("seen") or 0) + len(batch))


def test_a_pass_may_take_the_losses_of_single_samples_from_the_batch() -> None:
    model, plain = smooth_net(), smooth_net()
    samples = batch(model)
    clean = samples.loss().item()
    hardest = batch(plain).losses().topk(8).values.mean()
    hardest.backward()
    torch.optim.SGD(plain.parameters(), lr=0.1).step()

    loss = HardestHalf(list(model.parameters()), lr=0.1).step_on(samples)

    assert same_bits(copies(model), copies(plain))
    assert loss.item() == clean


def test_a_variant_that_needs_single_losses_refuses_a_closure_and_a_hand_written_loop() -> None:
    model = smooth_net()
    optimizer = HardestHalf(list(model.parameters()), lr=0.1)

    with pytest.raises(TypeError, match=r"HardestHalf needs the losses of single samples: use step_on"):
        optimizer.step(batch(model).closure(optimizer))
    with pytest.raises(TypeError, match=r"use step_on\(batch\)"):
        optimizer.first_step()


def test_memory_travels_with_the_state() -> None:
    model = smooth_net()
    optimizer, other = (HardestHalf(list(model.parameters()), lr=0.1) for _ in range(2))
    optimizer.step_on(batch(model))

    other.load_state_dict(optimizer.state_dict())
    optimizer.step_on(batch(model))

    assert (optimizer.state_dict()["memory"], other.state_dict()["memory"]) == ({"seen": 32}, {"seen": 16})


def test_what_a_step_that_failed_remembered_is_forgotten() -> None:
    model = smooth_net()
    optimizer = HardestHalf(list(model.parameters()), lr=0.1)

    with pytest.raises(sam.NonFiniteGradient):
        optimizer.step_on(batch(lambda x: model(x) * math.nan))

    assert optimizer.state_dict()["memory"] == {}


@pytest.mark.parametrize("taken", [True, False])
def test_on_a_device_that_is_not_waited_for_memory_is_kept_by_the_flag(taken: bool) -> None:
    """What a GPU does, which decides there whether the step was taken."""
    known, fresh = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    memory = Memory()
    memory.write("average", {known: torch.tensor([1.0, 2.0])})
    memory.commit(None)

    memory.write("average", {known: torch.tensor([math.nan, 3.0]), fresh: torch.tensor([4.0, math.inf])})
    memory.commit(torch.tensor(taken))

    found = memory.tensors("average")
    expected = ([math.nan, 3.0], [4.0, math.inf]) if taken else ([1.0, 2.0], [0.0, 0.0])
    for tensor, numbers in zip((found[known], found[fresh]), expected, strict=True):
        torch.testing.assert_close(tensor, torch.tensor(numbers), equal_nan=True)


def test_what_is_good_whatever_the_step_was_is_kept_regardless_of_the_flag() -> None:
    w, mask = nn.Parameter(torch.zeros(2)), torch.tensor([1.0, 0.0])
    memory = Memory()

    memory.write("mask", {w: mask}, regardless=True)
    memory.commit(torch.tensor(False))

    assert torch.equal(memory.tensors("mask")[w], torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_gate_keeps_every_bit_or_none(dtype: torch.dtype) -> None:
    numbers = torch.tensor([1.5, -0.0, float("nan"), float("inf"), -2e-7], dtype=dtype)
    kept, dropped, replaced, others = numbers.clone(), numbers.clone(), numbers.clone(), numbers.flip(0)
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[numbers.element_size()]

    keep_if_([kept], torch.tensor(True))
    keep_if_([dropped], torch.tensor(False))
    keep_if_([replaced], torch.tensor(False), instead=[others])

    assert torch.equal(kept.view(integer), numbers.view(integer))
    assert dropped.tolist() == [0.0] * 5
    assert torch.equal(replaced.view(integer), others.view(integer))
