"""What a job may say of its model, and what is refused with what would be accepted."""

import json
from typing import Any, get_args

import pytest

from lowland.spec import JobSpec, SpecInvalid
from lowland.spec.models import Architecture, InitFrom, Linear, Mlp, Resnet18, Torchvision, VitTiny, WideResnet

ARCHITECTURES = get_args(Architecture)


def _model(said: Any) -> Any:
    return JobSpec.model_validate({"dataset": "digits", "model": said}).model


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("linear", Linear()),
        ("WRN", WideResnet()),
        ("Wide_ResNet", WideResnet()),
        ({"name": "wideresnet", "depth": 28, "widen": 10}, WideResnet(depth=28, widen=10)),
        ("ViT_Tiny", VitTiny()),
        ("torchvision/resnet50", Torchvision(arch="resnet50")),
        ("torchvision/MobileNet-v3-Small", Torchvision(arch="mobilenet_v3_small")),
        ({"name": "torchvision/vit_b_16", "resize": 224}, Torchvision(arch="vit_b_16", resize=224)),
        ({"name": "torchvision", "arch": "vgg11"}, Torchvision(arch="vgg11")),
        ({"name": "resnet18", "pretrained": True}, Resnet18(pretrained=True)),
        ({"name": "mlp", "init_from": {"job": "0192_a-B"}}, Mlp(init_from=InitFrom(job="0192_a-B", artifact="best"))),
    ],
    ids=str,
)
def test_models_go_by_their_names_and_torchvision_s_by_its_own(said: Any, meant: object) -> None:
    spec = JobSpec.model_validate({"dataset": "digits", "model": said})

    assert spec.model == meant
    assert JobSpec.model_validate(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_one_of_torchvision_s_models_has_a_string_that_stands_for_it(arch: str) -> None:
    assert _model(f"torchvision/{arch}") == _model({"name": "torchvision", "arch": arch})


@pytest.mark.parametrize(
    ("said", "field", "message"),
    [
        (
            {"name": "mlp", "pretrained": True},
            "model.pretrained",
            'model: mlp has no published weights; leave pretrained out, or name "resnet18" or one of "torchvision/..."',
        ),
        (
            {"name": "resnet18", "width": 32, "pretrained": True},
            "model.width",
            "model: width is 32 and pretrained is true; give width 64, which the published weights have",
        ),
        (
            {"name": "torchvision/vgg11", "pretrained": True, "init_from": {"job": "a"}},
            "model.init_from",
            "model: pretrained is true and init_from is given; give one of them",
        ),
        (
            {"name": "wide-resnet", "depth": 20},
            "model.depth",
            "model: depth is 20, which is not 6n + 4; give 16 or 22",
        ),
        ({"name": "wide-resnet", "depth": 9}, "model.depth", "model.depth is 9; give a number >= 10"),
        (
            {"name": "vit-tiny", "heads": 5},
            "model.heads",
            "model: heads is 5 and width is 192; give a number of heads that divides width",
        ),
        ({"name": "mlp", "dropout": 1}, "model.dropout", "model.dropout is 1; give a number < 1"),
        (
            {"name": "mlp", "init_from": {"job": "../a"}},
            "model.init_from.job",
            'model.init_from.job is "../a"; give a string that matches ^[A-Za-z0-9_-]{1,64}$',
        ),
        (
            {"name": "mlp", "init_from": {"job": "a", "artifact": "last"}},
            "model.init_from.artifact",
            'model.init_from.artifact is "last"; give "best"',
        ),
        (
            "torchvision/mobilenet_v3_smal",
            "model.arch",
            'model.arch is "mobilenet_v3_smal" (did you mean "mobilenet_v3_small"?); give "alexnet", "convnext_base", ',
        ),
        ("torchvision", "model.arch", 'model.arch is missing; give "alexnet", "convnext_base", '),
        (
            {"name": "torchvision/vgg11", "arch": "vgg13"},
            "model",
            'model is "torchvision/vgg11", which is not known (did you mean "torchvision"?); give "linear", "mlp", ',
        ),
        ("torchvison/vgg11", "model", 'model is "torchvison/vgg11", which is not known'),
        ({"name": "torchvision/vgg11", "resize": 0}, "model.resize", "model.resize is 0; give a number >= 1"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_what_would_be_accepted(said: Any, field: str, message: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse({"dataset": "digits", "model": said})

    (error,) = refused.value.errors
    assert error.field == field
    assert error.detail.startswith(message)


@pytest.mark.parametrize("depth", [10, 16, 22, 28, 40, 1000])
def test_a_depth_of_6n_plus_4_is_a_wide_resnet_s(depth: int) -> None:
    assert _model({"name": "wide-resnet", "depth": depth}).depth == depth


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("linear", {}),
        ({"name": "mlp", "init_from": {"job": "a"}}, {"width": 256, "depth": 2, "dropout": 0.0}),
        ({"name": "torchvision/vgg11", "pretrained": True}, {"arch": "vgg11", "resize": None}),
    ],
    ids=str,
)
def test_a_model_s_options_are_its_fields_without_name_and_start(said: Any, options: dict[str, Any]) -> None:
    assert _model(said).options() == options
