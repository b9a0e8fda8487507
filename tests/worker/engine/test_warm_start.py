"""Another job's weights to start from: all of them, all but the head, or none with what does not fit."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lowland.networks import MODELS
from lowland.networks.parts import head_tensors
from lowland.spec.models import Torchvision
from tests.worker.engine.tiny_models import build, spec_of
from worker.engine.weights.warm_start import WarmStart, WarmStartUnsuited, load_weights

REMEDY = "Give a job that trained the same model with the same options on samples of the same shape."


@pytest.mark.parametrize("name", MODELS)
def test_a_model_starts_from_all_weights_of_the_same_model(name: str, tmp_path: Path) -> None:
    trained, fresh = build(spec_of(name), seed=1), build(spec_of(name), seed=2)

    start = load_weights(fresh, _saved(trained, tmp_path))

    assert start == WarmStart(taken=len(trained.state_dict()), replaced=())
    assert _same(fresh.state_dict(), trained.state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_the_head_for_another_number_of_classes_stays_as_it_is(name: str, tmp_path: Path) -> None:
    trained, fresh = build(spec_of(name), classes=7, seed=1), build(spec_of(name), classes=10, seed=2)
    head = head_tensors(fresh)
    before = {tensor: fresh.state_dict()[tensor].clone() for tensor in head}

    start = load_weights(fresh, _saved(trained, tmp_path))

    assert start == WarmStart(taken=len(trained.state_dict()) - len(head), replaced=head)
    assert start.description() == {"taken": start.taken, "replaced": list(head)}
    assert _same({**trained.state_dict(), **before}, fresh.state_dict())


def test_weights_of_a_model_with_dropout_suit_one_without(tmp_path: Path) -> None:
    trained, fresh = build(spec_of("mlp", dropout=0.3), seed=1), build(spec_of("mlp"), seed=2)

    load_weights(fresh, _saved(trained, tmp_path))

    assert _same(fresh.state_dict(), trained.state_dict())


def test_a_model_that_torchvision_s_loader_wants_a_version_of_starts_too(tmp_path: Path) -> None:
    spec = Torchvision(arch="mnasnet0_5")
    trained, fresh = build(spec, seed=1), build(spec, seed=2)

    load_weights(fresh, _saved(trained, tmp_path))

    assert _same(fresh.state_dict(), trained.state_dict())


def test_the_model_keeps_its_layout(tmp_path: Path) -> None:
    trained = build(spec_of("cnn"), seed=1)
    fresh = build(spec_of("cnn"), seed=2).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    load_weights(fresh, _saved(trained, tmp_path))

    weight = fresh.get_parameter("3.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("mlp", {"width": 6}),
            "model.init_from: 1.weight is 6x64 there and 4x64 here; 1.bias is 6 there and 4 here; "
            "4.weight is 6x6 there and 4x4 here; and 1 more. ",
        ),
        (
            ("mlp", {"depth": 1}),
            "model.init_from: 4.weight is 10x4 there and 4x4 here; 4.bias is 10 there and 4 here; "
            "7.weight is not there and 10x4 here; and 1 more. ",
        ),
        (
            ("linear", {}),
            "model.init_from: 1.weight is 10x64 there and 4x64 here; 1.bias is 10 there and 4 here; "
            "4.weight is not there and 4x4 here; and 3 more. ",
        ),
    ],
    ids=["narrower", "shallower", "another"],
)
def test_weights_of_another_model_are_refused_and_none_is_taken(
    given: tuple[str, dict[str, Any]], message: str, tmp_path: Path
) -> None:
    name, options = given
    fresh = build(spec_of("mlp"), seed=2)

    with pytest.raises(WarmStartUnsuited) as refused:
        load_weights(fresh, _saved(build(spec_of(name, **options), seed=1), tmp_path))

    assert str(refused.value) == message + REMEDY
    assert refused.value.permanent
    assert _same(fresh.state_dict(), build(spec_of("mlp"), seed=2).state_dict())


def test_tensors_that_the_model_has_not_are_refused(tmp_path: Path) -> None:
    fresh = build(spec_of("linear"))
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({**fresh.state_dict(), "steps": torch.tensor(3)}, path)

    with pytest.raises(WarmStartUnsuited) as refused:
        load_weights(fresh, path)

    assert str(refused.value) == f"model.init_from: steps is one number there and not here. {REMEDY}"


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no weights at all")

    with pytest.raises(WarmStartUnsuited, match=r"^model\.init_from: model\.safetensors cannot be read: "):
        load_weights(build(spec_of("linear")), path)


def _saved(model: nn.Module, folder: Path) -> Path:
    path = folder / "model.safetensors"
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
