"""torchvision's models on our images: grey and colour, scaled or not, or refused with what would do."""

import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from torch import nn

from lowland.networks import ImageShape, ShapeUnsuited, head_of
from lowland.networks.torchvision_models import OnImages
from lowland.spec.models import Torchvision
from tests.worker.engine.tiny_models import GREY, SHAPES, build, samples, spec_of

#: The smallest of each family, the vision transformers and those without small ones aside.
FAMILIES = [
    "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1",
    "swin_t", "swin_v2_t",
]  # fmt: skip


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_model_of_every_family_gives_a_logit_a_class_at_its_own_size(arch: str) -> None:
    resize = {"inception_v3": 96, "maxvit_t": 224}.get(arch, 64)
    model = build(Torchvision(arch=arch, resize=resize), classes=7).eval()  # pyright: ignore[reportArgumentType]

    with torch.no_grad():
        logits = model(samples(GREY, 1))

    assert logits.shape == (1, 7)
    assert head_of(model).weight.shape[0] == 7


def test_a_grey_image_is_a_colour_image_of_three_equal_channels() -> None:
    model = build(Torchvision(arch="resnet18")).eval()
    images = samples(GREY, 2)

    with torch.no_grad():
        torch.testing.assert_close(model(images), model(images.repeat(1, 3, 1, 1)))


def test_images_are_scaled_as_part_of_the_model() -> None:
    model = build(spec_of("torchvision", resize=40), SHAPES["32x32 colour"]).eval()
    assert isinstance(model, OnImages)
    images = samples(SHAPES["32x32 colour"], 2)

    with torch.no_grad():
        expected = model.network(F.interpolate(images, size=(40, 40), mode="bilinear"))
        torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize(
    ("arch", "size", "side"),
    [("inception_v3", 32, 299), ("googlenet", 8, 224), ("vit_b_32", 28, 224), ("maxvit_t", 28, 224)],
)
def test_images_of_a_size_it_cannot_take_are_refused_with_one_that_it_can(arch: str, size: int, side: int) -> None:
    images = ImageShape(channels=1, height=size, width=size)

    with pytest.raises(ShapeUnsuited) as refused:
        build(Torchvision(arch=arch), images)  # pyright: ignore[reportArgumentType]

    assert str(refused.value) == (
        f"torchvision/{arch} does not take images of {size}x{size} pixels; set model.resize, for example to {side}, "
        "which its published weights are for, or give another model"
    )


def test_a_vision_transformer_is_built_for_the_size_of_its_images() -> None:
    """With 32x32 pixels it has one patch, and a class token."""
    model = build(Torchvision(arch="vit_b_32"), SHAPES["32x32 colour"])

    assert model.get_parameter("network.encoder.pos_embedding").shape == (1, 2, 768)


def test_images_with_other_than_one_or_three_channels_are_refused() -> None:
    with pytest.raises(ShapeUnsuited) as refused:
        build(Torchvision(arch="resnet18"), ImageShape(channels=4, height=32, width=32))

    assert str(refused.value) == (
        "torchvision/resnet18 does not take images with 4 channels, only with 1 or 3; give another model"
    )


def test_pooling_to_several_pixels_is_torch_s_without_its_kernel() -> None:
    """torch's has no deterministic backward on a GPU."""
    model = build(Torchvision(arch="alexnet", resize=80))
    pool = model.get_submodule("network.avgpool")
    x = torch.randn(2, 3, 5, 9, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(pool(x), F.adaptive_avg_pool2d(x, (6, 6)))
    assert not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in model.modules())


def test_the_weights_start_as_torchvision_s() -> None:
    model = build(Torchvision(arch="resnet18"), seed=3)
    torch.manual_seed(3)
    expected = torchvision.models.resnet18(num_classes=10).state_dict()

    found = {name.removeprefix("network."): tensor for name, tensor in model.state_dict().items()}

    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
