"""What holds for each variant: any torch optimizer is a base, in each of its implementations."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Muon, Optimizer, RMSprop

import sam
from tests.sam.loops import every_variant, on_batch
from tests.sam.problems import ACTIVE, CLASS_COUNTS, batch, copies, same_bits, smooth_net

#: The common bases, with momentum where they have a choice.
BASES: dict[Callable[..., Optimizer], dict[str, float]] = {
    SGD: {"momentum": 0.9, "weight_decay": 0.01},
    Adam: {},
    AdamW: {"weight_decay": 0.1},
    RMSprop: {"momentum": 0.9},
    Adagrad: {},
}
every_base = pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)


def trained(name: str, base: Callable[..., Optimizer], **options: object) -> nn.Module:
    """After five steps."""
    model = smooth_net().double()
    radius = {key: value for key, value in ACTIVE[name].items() if key != "momentum"}
    optimizer = sam.build(name, model.parameters(), base, **{"lr": 0.01, **radius, **BASES.get(base, {}), **options})
    optimizer.plan(class_counts=CLASS_COUNTS)
    for i in range(5):
        on_batch(optimizer, batch(model, seed=i).double())
    return model


def usable(name: str, base: Callable[..., Optimizer]) -> bool:
    return name != "msam" or base is not Adagrad  # which keeps no momentum


@every_base
@every_variant
def test_a_base_is_the_same_in_each_of_its_implementations(name: str, base: Callable[..., Optimizer]) -> None:
    if not usable(name, base):
        with pytest.raises(ValueError, match="base_optimizer must have momentum"):
            trained(name, base)
        return
    plain = copies(trained(name, base, foreach=False))
    implementations = ["foreach"] if base is RMSprop else ["foreach", "fused"]  # RMSprop has no fused one

    for implementation in implementations:
        found = copies(trained(name, base, **{implementation: True}))
        for key, value in plain.items():
            torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)


@every_base
@every_variant
def test_a_variant_over_any_base_is_not_the_base_alone(name: str, base: Callable[..., Optimizer]) -> None:
    if name != "none" and usable(name, base):
        assert not same_bits(copies(trained(name, base)), copies(trained("none", base)))


@every_variant
def test_muon_steps_on_matrices(name: str) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Tanh(), nn.Linear(8, 3, bias=False))
    optimizer = sam.build(name, model.parameters(), Muon, lr=0.02, **{**ACTIVE[name], "momentum": 0.9})
    optimizer.plan(class_counts=CLASS_COUNTS)
    samples = batch(model)
    before = samples.loss().item()

    for _ in range(20):
        on_batch(optimizer, samples)

    assert samples.loss().item() < before
