"""What only a GPU can show: no step waits for the device, and bad gradients are told of later."""

import math

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import ACTIVE, PASSES, batch, copies, net, same_bits

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
every_variant = pytest.mark.parametrize("name", list(sam.VARIANTS))


@every_variant
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, math.inf])
def test_a_step_never_waits_for_the_device(name: str, p: float) -> None:
    model = net().cuda()
    options = {**ACTIVE[name], **({"p": p} if name == "sam" else {})}
    optimizer = sam.build(name, model.parameters(), torch.optim.SGD, lr=0.1, model=model, **options)
    samples = batch(model)
    x, y = samples.x.cuda(), samples.y.cuda()

    def closure() -> Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.cuda.set_sync_debug_mode("error")
    try:
        optimizer.step(closure)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("name", "bad_pass"), [(name, number) for name in sam.VARIANTS for number in range(1, PASSES[name] + 1)]
)
def test_a_bad_gradient_moves_nothing_and_is_told_when_asked(name: str, bad_pass: int) -> None:
    w = nn.Parameter(torch.ones(3, device="cuda"))
    optimizer = sam.build(name, [w], torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})
    passes = 0

    def closure() -> Tensor:
        nonlocal passes
        passes += 1
        loss = (w * w).sum() * (math.nan if passes == bad_pass else 1.0)
        loss.backward()
        return loss

    before = copies(nn.ParameterList([w]))
    optimizer.step(closure)

    assert same_bits(before, copies(nn.ParameterList([w])))
    with pytest.raises(sam.NonFiniteGradient, match="it was kept from the weights"):
        optimizer.raise_if_nonfinite()
    assert optimizer.raise_if_nonfinite() is None
