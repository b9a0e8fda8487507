"""Every model takes the samples it says it does, is as large as its spec says, and learns, however it is computed."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowland.networks import MODELS, ImageShape, InputShape, Vector, head_of, hidden_matrices
from lowland.spec.job import JobSpec
from lowland.spec.unions import tagged_union
from tests.worker.engine.tiny_models import GREY, SHAPES, TINY, build, samples, spec_of

LABELS = torch.arange(10)

OURS = [name for name in MODELS if name != "torchvision"]

every_model = pytest.mark.parametrize("name", MODELS)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


@every_shape
@every_model
def test_a_few_steps_on_one_batch_lower_its_loss(name: str, shape: InputShape) -> None:
    model = build(spec_of(name), shape)

    losses = _train(model, samples(shape, 10))

    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@every_shape
@every_model
def test_a_batch_of_one_can_be_trained_on(name: str, shape: InputShape) -> None:
    """An epoch's last batch may be one sample; BatchNorm then needs more than one pixel."""
    model = build(spec_of(name), shape).train()

    logits = model(samples(shape, 1))

    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("name", OURS)
def test_images_of_a_few_pixels_suit_every_model_of_ours(name: str, side: int) -> None:
    shape = ImageShape(channels=1, height=side, width=side)

    losses = _train(build(spec_of(name), shape), samples(shape, 10))

    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_model_that_wants_no_images_learns_from_vectors(name: str) -> None:
    model = build(spec_of(name), Vector(values=5))

    losses = _train(model, samples(Vector(values=5), 10))

    assert not spec_of(name).wants_images
    assert losses[-1] < losses[0]


@every_model
def test_a_step_in_bf16_with_channels_last_has_finite_gradients_of_every_weight(name: str) -> None:
    model = build(spec_of(name)).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = samples(GREY, 10).to(memory_format=torch.channels_last)

    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(images), LABELS)
    loss.backward()

    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", OURS)
def test_a_compiled_model_is_one_graph_and_computes_the_same(name: str) -> None:
    """What TorchDynamo and AOTAutograd make of it; code generation is torch's business."""
    model = build(spec_of(name)).double()
    images = samples(GREY, 10).double()

    expected = _loss_and_gradients(copy.deepcopy(model), images)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)

    torch.testing.assert_close(_loss_and_gradients(compiled, images), expected)


@every_model
def test_a_loss_can_be_differentiated_twice(name: str) -> None:
    """Second-order SAM does."""
    model = build(spec_of(name))
    weights = list(model.parameters())

    first = torch.autograd.grad(F.cross_entropy(model(samples(GREY, 10)), LABELS), weights, create_graph=True)
    second = torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), weights)

    assert all(gradient.isfinite().all() for gradient in second)


@pytest.mark.parametrize(
    ("name", "option"),
    [("mlp", "width"), ("cnn", "width"), ("resnet9", "width"), ("resnet18", "width"), ("vit-tiny", "width"),
     ("wide-resnet", "widen"), ("wide-resnet", "depth"), ("vit-tiny", "depth"), ("mlp", "depth")],
)  # fmt: skip
def test_a_wider_or_deeper_model_has_more_parameters(name: str, option: str) -> None:
    small, large = ({"depth": (10, 16)} if name == "wide-resnet" else {}).get(option, (4, 8))

    assert _parameters(spec_of(name, **{option: large})) > _parameters(spec_of(name, **{option: small}))


@pytest.mark.parametrize(
    ("name", "options", "channels", "size", "classes", "parameters"),
    [
        ("linear", {}, 1, 28, 10, 784 * 10 + 10),
        ("mlp", {"width": 256, "depth": 2}, 1, 28, 10, 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10),
        ("cnn", {"width": 32}, 1, 28, 10, 9 * 32 + 64 + 9 * 32 * 64 + 128 + 9 * 64 * 128 + 256 + 1152 * 10 + 10),
        ("resnet9", {"width": 16}, 1, 28, 10, 412_656),
        # Published: 11.17M, 2.75M and 36.5M for CIFAR-10.
        ("resnet18", {"width": 64}, 3, 32, 10, 11_173_962),
        ("wide-resnet", {"depth": 16, "widen": 4}, 3, 32, 10, 2_748_890),
        ("wide-resnet", {"depth": 28, "widen": 10}, 3, 32, 10, 36_479_194),
        # DeiT-Ti has 5,717,416 for ImageNet, with a class token and its position.
        ("vit-tiny", {"patch": 16, "width": 192, "heads": 3, "depth": 12}, 3, 224, 1000, 5_717_416 - 2 * 192),
        ("torchvision", {"arch": "mobilenet_v3_small", "resize": None}, 3, 224, 1000, 2_542_856),
    ],
)
def test_sizes_are_the_known_ones(
    name: str, options: dict[str, Any], channels: int, size: int, classes: int, parameters: int
) -> None:
    shape = ImageShape(channels=channels, height=size, width=size)

    assert _parameters(spec_of(name, **options), shape, classes=classes) == parameters


@every_model
def test_the_head_is_the_layer_that_gives_the_logits(name: str) -> None:
    model = build(spec_of(name)).eval()
    head = head_of(model)

    with torch.no_grad():
        for tensor in head.parameters():
            tensor.zero_()

    assert head.weight.shape[0] == 10
    assert not model(samples(GREY, 2)).any()


@pytest.mark.parametrize("name", OURS)
def test_a_model_has_hidden_matrices_if_its_spec_says_so(name: str) -> None:
    assert bool(hidden_matrices(build(spec_of(name)))) == spec_of(name).has_hidden_matrices


@pytest.mark.parametrize(
    ("name", "shapes"),
    [("mlp", [(4, 64), (4, 4)]), ("vit-tiny", [(24, 8), (8, 8), (32, 8), (8, 32)] * 2)],
)
def test_hidden_matrices_are_the_linear_layers_without_the_head(name: str, shapes: list[tuple[int, ...]]) -> None:
    assert [tuple(matrix.shape) for matrix in hidden_matrices(build(spec_of(name)))] == shapes


def test_hidden_matrices_are_those_of_torch_s_attention_too_and_no_embedding() -> None:
    """One matrix makes queries, keys and values, where they are made from the same."""
    attention, attention_to_others = nn.MultiheadAttention(8, 2), nn.MultiheadAttention(8, 2, kdim=4, vdim=4)
    model = nn.Sequential(nn.Embedding(9, 8), attention, attention_to_others, nn.Linear(8, 10))

    expected = [attention.in_proj_weight, attention.out_proj.weight, attention_to_others.out_proj.weight]
    assert [id(matrix) for matrix in hidden_matrices(model)] == [id(matrix) for matrix in expected]


@pytest.mark.parametrize("name", ["mlp", "wide-resnet", "vit-tiny"])
def test_dropout_leaves_out_something_else_each_time_and_nothing_in_evaluation(name: str) -> None:
    model = build(spec_of(name, dropout=0.5))
    images = samples(GREY, 10)

    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))
    assert model.state_dict().keys() == build(spec_of(name)).state_dict().keys()


@pytest.mark.parametrize(
    ("height", "width", "patches"), [(8, 8, 4), (8, 9, 6), (9, 13, 12), (3, 2, 1)], ids="{0}".format
)
def test_a_vision_transformer_pads_images_to_whole_patches(height: int, width: int, patches: int) -> None:
    shape = ImageShape(channels=1, height=height, width=width)
    model = build(spec_of("vit-tiny"), shape)

    assert model.get_parameter("0.positions").shape == (1, patches, 8)
    assert model(samples(shape, 2)).shape == (2, 10)


def test_a_vision_transformer_attends_to_all_patches_alike() -> None:
    """Without positions it is the same for any order of the patches."""
    model = build(spec_of("vit-tiny", patch=2)).eval()
    nn.init.zeros_(model.get_parameter("0.positions"))
    images = samples(GREY, 3)

    torch.testing.assert_close(model(images.roll((2, 4), dims=(2, 3))), model(images), rtol=1e-4, atol=1e-6)


def test_every_model_of_the_contract_is_tried_here() -> None:
    union = tagged_union(JobSpec.model_fields["model"])

    assert union is not None
    assert TINY.keys() == union.members.keys()


def _train(model: nn.Module, inputs: Tensor) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), LABELS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _loss_and_gradients(model: Any, images: Tensor) -> list[Tensor]:
    loss = F.cross_entropy(model(images), LABELS)
    return [loss, *torch.autograd.grad(loss, list(model.parameters()))]


def _parameters(spec: Any, shape: InputShape = GREY, *, classes: int = 10) -> int:
    return sum(parameter.numel() for parameter in build(spec, shape, classes=classes).parameters())
