"""Every model takes the images of every dataset, is as wide as its spec says, and learns."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lowland.spec.job import JobSpec
from worker.engine.models import MODELS, ImageShape

SHAPES = {"8x8 grey": (1, 8), "28x28 grey": (1, 28), "32x32 colour": (3, 32)}


def _build(name: str, *, channels: int, size: int, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = JobSpec.parse({"dataset": "digits", "model": {"name": name, "width": 4, **options}}).model
    return MODELS[name](
        ImageShape(channels=channels, height=size, width=size),
        10,
        **spec.model_dump(exclude={"name", "pretrained"}),
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", MODELS)
def test_a_few_steps_on_one_batch_lower_its_loss(name: str, shape: tuple[int, int]) -> None:
    channels, size = shape
    model = _build(name, channels=channels, size=size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn((10, channels, size, size), generator=generator)
    labels = torch.arange(10)

    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_one_can_be_trained_on(name: str, shape: tuple[int, int]) -> None:
    """An epoch's last batch may be one sample; BatchNorm then needs more than one pixel."""
    channels, size = shape
    model = _build(name, channels=channels, size=size).train()

    logits = model(torch.randn(1, channels, size, size))

    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_a_wider_model_has_more_parameters(name: str) -> None:
    narrow, wide = (
        sum(p.numel() for p in _build(name, channels=1, size=28, width=width).parameters()) for width in (4, 8)
    )

    assert wide > narrow


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("mlp", {"width": 256, "depth": 2}, 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10),
        ("cnn", {"width": 32}, 9 * 32 + 64 + 9 * 32 * 64 + 128 + 9 * 64 * 128 + 256 + 1152 * 10 + 10),
        ("resnet9", {"width": 16}, 412_656),
        # The published network for CIFAR-10 has 11,173,962 with three input channels.
        ("resnet18", {"width": 64}, 11_173_962 - 2 * 9 * 64),
    ],
)
def test_sizes_are_the_known_ones(name: str, options: dict[str, Any], parameters: int) -> None:
    model = _build(name, channels=1, size=28, **options)

    assert sum(p.numel() for p in model.parameters()) == parameters
