"""What only a GPU can show: no step waits for the device, and bad gradients are told of later; `pytest --gpu`."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.gpu import waiting_is_an_error
from tests.sam.problems import FORWARDS, PASSES, Value, batch, build, copies, net, same_bits, smooth_net

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
every_variant = pytest.mark.parametrize("name", list(sam.VARIANTS))


@pytest.mark.parametrize(
    ("name", "options"), [(name, {}) for name in sam.VARIANTS] + [("sam", {"p": p}) for p in (1.0, 1.5, math.inf)]
)
def test_a_step_never_waits_for_the_device(name: str, options: dict[str, float]) -> None:
    model = net().cuda()
    optimizer = build(name, model.parameters(), model=model, **options)
    host = batch(model)
    cross_entropy = partial(nn.functional.cross_entropy, reduction="none")
    samples = sam.Minibatch(model, host.x.cuda(), host.y.cuda(), cross_entropy, labels=host.y)

    optimizer.step_on(samples)
    with waiting_is_an_error():
        optimizer.step_on(samples)


@pytest.mark.parametrize(
    ("name", "bad_pass"), [(name, number) for name in sam.VARIANTS for number in range(1, PASSES[name] + 1)]
)
def test_a_bad_gradient_moves_nothing_and_is_told_when_asked(name: str, bad_pass: int) -> None:
    w = nn.Parameter(torch.ones(3, device="cuda"))
    optimizer = build(name, [w])
    bad_forward = bad_pass if bad_pass == 1 else FORWARDS[name]
    forwards = 0

    def value() -> Tensor:
        nonlocal forwards
        forwards += 1
        return (w * w).sum() * (math.nan if forwards == bad_forward else 1.0)

    before = copies(nn.ParameterList([w]))
    optimizer.step_on(Value(value))

    assert same_bits(before, copies(nn.ParameterList([w])))
    with pytest.raises(sam.NonFiniteGradient, match="it was kept from the weights"):
        optimizer.raise_if_nonfinite()
    assert optimizer.raise_if_nonfinite() is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_variant
def test_half_precision_parameters_train(name: str, dtype: torch.dtype) -> None:
    model = smooth_net().to("cuda", dtype)
    host = batch(model)
    cross_entropy = partial(nn.functional.cross_entropy, reduction="none")
    samples = sam.Minibatch(model, host.x.to("cuda", dtype), host.y.cuda(), cross_entropy, labels=host.y)
    optimizer = build(name, model.parameters(), model=model)

    losses = [optimizer.step_on(samples).item() for _ in range(10)]

    optimizer.raise_if_nonfinite()
    assert losses[-1] < losses[0]
