"""What the contract estimates is what the engine builds, reads and keeps."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowland.networks import MODELS, ImageShape, Vector
from lowland.spec.catalogue import variants
from lowland.spec.datasets import DatasetSpec
from lowland.spec.estimate import estimate, known_parts, training_samples
from lowland.spec.estimate_models import Size, size_of
from lowland.spec.job import JobSpec
from lowland.spec.models import ModelSpec
from tests.sam.test_memory import IN_THE_LAST_PASS
from worker.engine.data import DATASETS
from worker.engine.data.parts import prepare
from worker.engine.settings import EngineSettings

Shape = tuple[int, int, int]

TINY: Shape = (1, 8, 8)
GREY: Shape = (1, 28, 28)
COLOUR: Shape = (3, 32, 32)
FEATURES: Shape = (30, 1, 1)

CASES: list[tuple[dict[str, Any], Shape]] = [
    ({"name": "linear"}, GREY),
    ({"name": "linear"}, FEATURES),
    ({"name": "mlp", "width": 64, "depth": 3}, GREY),
    ({"name": "mlp", "width": 48, "depth": 2, "dropout": 0.2}, FEATURES),
    ({"name": "cnn", "width": 8}, GREY),
    ({"name": "cnn", "width": 8}, TINY),
    ({"name": "cnn", "width": 8}, (1, 5, 5)),
    ({"name": "resnet9", "width": 8}, GREY),
    ({"name": "resnet9", "width": 4}, TINY),
    ({"name": "resnet9", "width": 8}, COLOUR),
    ({"name": "resnet18", "width": 8}, GREY),
    ({"name": "resnet18", "width": 4}, TINY),
    ({"name": "resnet18", "width": 8}, COLOUR),
    ({"name": "wide-resnet", "depth": 16, "widen": 2}, COLOUR),
    ({"name": "wide-resnet", "depth": 10, "widen": 1, "dropout": 0.3}, TINY),
    ({"name": "vit-tiny", "width": 32, "depth": 2, "heads": 2}, COLOUR),
    ({"name": "vit-tiny", "width": 48, "depth": 1, "heads": 3, "dropout": 0.1, "patch": 5}, GREY),
]
IMAGE_MODELS = [(given, shape) for given, shape in CASES if given["name"] not in {"linear", "mlp"}]

BATCH = 16
#: How far the estimate of what is kept may be off, as a fraction.
TOLERANCE = 0.06


def case_id(value: object) -> str:
    return " ".join(f"{part}" for part in value.values()) if isinstance(value, dict) else str(value)


@pytest.mark.parametrize(("given", "shape"), CASES, ids=case_id)
def test_the_estimated_weights_are_those_that_are_built(given: dict[str, Any], shape: Shape) -> None:
    spec = model_spec(given)

    model = built(spec, shape)

    assert size(spec, shape).parameters == sum(p.numel() for p in model.parameters())


def test_every_model_but_those_of_torchvision_is_estimated() -> None:
    assert {given["name"] for given, _ in CASES} == MODELS.keys() - {"torchvision"}


@pytest.mark.parametrize(("given", "shape"), CASES, ids=case_id)
def test_a_forward_pass_keeps_what_is_estimated(given: dict[str, Any], shape: Shape) -> None:
    spec = model_spec(given)
    found = size(spec, shape)

    kept = kept_bytes(built(spec, shape), shape, half=False)

    assert BATCH * (4 * found.kept + found.kept_bytes) == pytest.approx(kept, rel=TOLERANCE)


@pytest.mark.parametrize(("given", "shape"), IMAGE_MODELS, ids=case_id)
def test_a_forward_pass_in_half_precision_keeps_what_is_estimated(given: dict[str, Any], shape: Shape) -> None:
    """Of a fully connected model the first matrix is most of it, and no backward pass needs its half copy."""
    spec = model_spec(given)
    found = size(spec, shape)

    kept = kept_bytes(built(spec, shape), shape, half=True)

    estimated = BATCH * (2 * found.kept + found.kept_bytes) + 2 * found.parameters
    assert estimated == pytest.approx(kept, rel=TOLERANCE)


@pytest.mark.parametrize("name", ["digits", "linear", "diabetes", "breast-cancer"])
def test_the_estimated_data_are_those_that_are_read(name: str) -> None:
    """Of the sets that come with their libraries."""
    job = JobSpec.parse({"dataset": name, "model": "linear"})
    assert job.dataset is not None

    assert estimate(job).data_bytes == data_bytes(job.dataset)


@pytest.mark.parametrize("name", ["digits", "linear", "diabetes", "breast-cancer"])
def test_the_parts_that_are_stated_are_those_that_are_read(name: str) -> None:
    """Of the same sets."""
    spec = JobSpec.parse({"dataset": name, "model": "linear"}).dataset
    assert spec is not None

    read, stated = DATASETS[name](spec, EngineSettings()), known_parts(spec)

    assert stated is not None
    assert (stated.train, stated.test) == (len(read.train.targets), len(read.test.targets))
    assert stated.shape[0] == read.train.source.shape[1]
    assert stated.outputs == (len(read.classes) if read.classes else 1)


@pytest.mark.parametrize("limit", [None, 50])
@pytest.mark.parametrize("name", ["digits", "linear", "diabetes", "breast-cancer"])
def test_the_training_set_has_as_many_samples_as_the_contract_says(name: str, limit: int | None) -> None:
    job = JobSpec.parse({"dataset": {"name": name, "limit": limit, "validation_fraction": 0}, "model": "linear"})
    assert job.dataset is not None

    parts = prepare(
        DATASETS[name](job.dataset, EngineSettings()),
        job.dataset,
        seed=0,
        device=torch.device("cpu"),
        channels_last=False,
    )

    assert training_samples(job.dataset) == len(parts.training)


def test_a_variant_holds_what_its_memory_test_says() -> None:
    assert {entry.name: entry.copies for entry in variants().variants} == dict(IN_THE_LAST_PASS)


def model_spec(given: dict[str, Any]) -> ModelSpec:
    return JobSpec.parse({"dataset": "kmnist", "model": given}).model


def size(spec: ModelSpec, shape: Shape) -> Size:
    found = size_of(spec, shape, 10)
    assert found is not None
    return found


def built(spec: ModelSpec, shape: Shape) -> nn.Module:
    channels, height, width = shape
    sample = Vector(values=channels) if height == 1 else ImageShape(channels=channels, height=height, width=width)
    return MODELS[spec.name](sample, 10, **spec.options())


def kept_bytes(model: nn.Module, shape: Shape, *, half: bool) -> int:
    """All that a forward pass keeps for the backward pass, beside the weights themselves."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    inputs = torch.randn(BATCH, *(shape if shape[1] > 1 else shape[:1])).contiguous()
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        F.cross_entropy(model(inputs).float(), torch.arange(BATCH) % 10)
    return sum(storage.nbytes() for storage in kept.values())


def data_bytes(spec: DatasetSpec) -> int:
    dataset = DATASETS[spec.name](spec, EngineSettings())
    sources = {part.source.data_ptr(): part.source for part in (dataset.train, dataset.test)}
    targets = (dataset.train.targets, dataset.test.targets)
    return sum(tensor.nbytes for tensor in (*sources.values(), *targets))
