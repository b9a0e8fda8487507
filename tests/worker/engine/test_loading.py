"""What a job has trained, loaded by its user: on samples as they are, it does what the job says it does.

In every test the user knows the file of weights and the raw data, and which rows are the test part.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import sklearn.datasets
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lowland.errors import WeightsUnusable
from lowland.networks import MODELS, Description, ImageShape, Trained, load
from lowland.networks.description import NotDescribed
from lowland.spec.datasets import BreastCancer, Diabetes, Digits
from tests.worker.engine.folders import write
from tests.worker.engine.running import Outcome, run, tiny
from tests.worker.engine.tiny_models import TINY, samples
from worker.engine.data import DATASETS
from worker.engine.settings import EngineSettings

WEIGHTS = "model.safetensors"
DIGITS: Any = sklearn.datasets.load_digits()
#: Sixteen steps of grey, as pixels.
PIXELS = np.round(DIGITS.images * 255 / 16).astype(np.uint8)[:, None]


def _train(out: Path, **fields: Any) -> tuple[Outcome, Trained]:
    ended = run(tiny(**{"precision": "fp32", **fields}), out)
    return ended, load(out / WEIGHTS)


def _test_rows(spec: Any) -> Tensor:
    rows = DATASETS[spec.name](spec, EngineSettings()).test.rows
    assert rows is not None
    return rows


@torch.no_grad()
def _accuracy(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    return float((model(inputs).argmax(1) == labels).double().mean())


def _digits() -> tuple[Tensor, Tensor]:
    rows = _test_rows(Digits())
    return torch.from_numpy(PIXELS)[rows], torch.from_numpy(DIGITS.target)[rows]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_the_job_s_test_accuracy_on_pixels_from_0_to_1(name: str, tmp_path: Path) -> None:
    ended, model = _train(tmp_path, model={"name": name, **TINY[name]}, optimizer={"name": "sgd", "lr": 0.02})
    images, labels = _digits()

    with torch.no_grad():
        loss = float(F.cross_entropy(model(images / 255), labels))
    assert loss == pytest.approx(ended.result.metrics["test_loss"], rel=1e-5)  # it is added up in another order
    assert _accuracy(model, images / 255, labels) == ended.result.test_accuracy
    assert not model.training
    assert model.classes == tuple("0123456789")
    assert model.input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    "fields",
    [
        {"ema": {"decay": 0.9}},
        {"channels_last": True},
        {"dataset": {"name": "digits", "limit": 200, "augment": "shift"}},
    ],
    ids=str,
)
def test_however_it_was_trained(fields: dict[str, Any], tmp_path: Path) -> None:
    ended, model = _train(tmp_path, **{"model": {"name": "cnn", "width": 4}, "epochs": 3, **fields})

    assert _accuracy(model, *_digits()) == ended.result.test_accuracy


def test_bytes_and_numbers_from_0_to_1_are_the_same_pixels_to_the_bit(tmp_path: Path) -> None:
    _, model = _train(tmp_path)
    pixels = torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 8, 8)

    with torch.no_grad():
        assert torch.equal(model(pixels), model(pixels / 255))
        assert torch.equal(model(pixels), model((pixels.double() / 255).float()))


def test_a_folder_s_images_opened_by_someone_else_are_classed_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {f"{part}/{pet}": 9 for part in ("train", "test") for pet in ("cat", "dog", "fox")})
    monkeypatch.setenv("LOWLAND_DATA_DIR", str(tmp_path / "data"))

    ended, model = _train(
        tmp_path, dataset={"name": "folder", "path": "pets"}, model={"name": "cnn", "width": 4}, batch_size=4
    )

    folders = sorted((tmp_path / "data" / "pets" / "test").iterdir())
    files = [(path, number) for number, folder in enumerate(folders) for path in sorted(folder.iterdir())]
    images = torch.stack([torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) / 255 for path, _ in files])
    assert model.classes == ("cat", "dog", "fox") == tuple(folder.name for folder in folders)
    assert model.input_shape == (3, 6, 5)
    assert _accuracy(model, images, torch.tensor([label for _, label in files])) == ended.result.test_accuracy


def test_a_table_s_features_have_names_and_go_in_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLAND_DATA_DIR", str(tmp_path))
    random = np.random.default_rng(0)
    length, colour = random.normal(50, 20, 100).round(3), random.choice(["blue", "red"], 100)
    kind = np.where(length + 30 * (colour == "red") > 65, "yes", "no")
    lines = [f"{a},{b},{c},7" for a, b, c in zip(length, colour, kind, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["length,colour,kind,same", *lines]))
    table = {"name": "table", "path": "t.csv", "target": "kind"}

    ended, model = _train(tmp_path, dataset=table, epochs=5, optimizer={"name": "sgd", "lr": 0.01})

    assert model.description.features == ["length", "colour=blue", "colour=red", "same"]
    assert model.classes == ("no", "yes")
    rows = _test_rows(tiny(dataset=table).dataset).numpy()
    columns = np.stack([length, colour == "blue", colour == "red", np.full(100, 7)], axis=1)[rows]
    inputs, labels = torch.from_numpy(columns.astype(np.float32)), torch.from_numpy(kind == "yes").long()[rows]
    assert _accuracy(model, inputs, labels) == ended.result.test_accuracy
    with torch.no_grad():  # what was the same in the whole training part says nothing
        changed = inputs.clone()
        changed[:, 3] = -1e6
        assert torch.equal(model(inputs), model(changed))


def test_a_regression_answers_in_the_target_s_own_units(tmp_path: Path) -> None:
    ended, model = _train(tmp_path, dataset="diabetes", epochs=5, optimizer={"name": "sgd", "lr": 0.01})
    raw: Any = sklearn.datasets.load_diabetes(scaled=False)
    rows = _test_rows(Diabetes())
    features, progression = torch.from_numpy(raw.data).float()[rows], torch.from_numpy(raw.target)[rows]

    with torch.no_grad():
        answers = model(features)

    errors = (answers.double() - progression).square()
    r2 = 1 - errors.sum() / (progression - progression.mean()).square().sum()
    # The engine measures in standardised units; float32 rounds what is brought back from there.
    assert float(r2) == pytest.approx(ended.result.metrics["test_r2"], abs=1e-6)
    assert float(errors.mean()) == pytest.approx(ended.result.metrics["test_mse"], rel=1e-6)
    assert answers.shape == progression.shape
    assert model.classes is None
    assert model.description.features == list(raw.feature_names)


def test_the_tumours_features_have_scikit_learn_s_names() -> None:
    tumours: Any = sklearn.datasets.load_breast_cancer()

    features = DATASETS["breast-cancer"](BreastCancer(), EngineSettings()).features

    assert features == tuple(tumours.feature_names)


@pytest.mark.parametrize("arch", ["alexnet", "mnasnet0_5", "googlenet", "swin_t"])
def test_torchvision_s_peculiar_models_come_back(arch: str, tmp_path: Path) -> None:
    """With pooling of ours, a version among the weights, auxiliary heads left out, buffers of indices."""
    network = MODELS["torchvision"](ImageShape(channels=3, height=64, width=64), 3, arch=arch, resize=None).eval()
    model = {"name": "torchvision", "arch": arch}
    described = _described(model=model, input_shape=[3, 64, 64], mean=[0.0] * 3, std=[255.0] * 3)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(tensors, tmp_path / WEIGHTS, metadata=described.header())

    trained = load(tmp_path / WEIGHTS)

    images = samples(ImageShape(channels=3, height=64, width=64), 2).sigmoid()
    with torch.no_grad():
        torch.testing.assert_close(trained(images), network(images))


def test_loading_is_exact_and_draws_nothing_from_the_caller_s_generator(tmp_path: Path) -> None:
    run(tiny(), tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    model = load(tmp_path / WEIGHTS)

    assert torch.equal(torch.rand(3), expected)
    held = safetensors.torch.load_file(tmp_path / WEIGHTS)
    loaded = model.network.state_dict()
    assert held.keys() == loaded.keys()
    assert all(torch.equal(held[name], loaded[name]) for name in held)


def test_numbers_are_float32_whatever_the_default_is(tmp_path: Path) -> None:
    _, model = _train(tmp_path)
    images = PIXELS[:9]
    torch.set_default_dtype(torch.float64)
    try:
        again = load(tmp_path / WEIGHTS)
    finally:
        torch.set_default_dtype(torch.float32)

    with torch.no_grad():
        assert torch.equal(again(torch.from_numpy(images)), model(torch.from_numpy(images)))


def test_what_a_later_version_adds_to_the_header_is_passed_over_but_not_what_changes_the_network() -> None:
    header = json.loads(_described().header()["lowland"])
    named = {**header, "model": {**header["model"], "activation": "gelu"}}

    assert Description.of({"lowland": json.dumps({**header, "trained_at": 0})}) == _described()
    with pytest.raises(NotDescribed, match=r"\(model\.mlp\.activation: Extra inputs are not permitted\)"):
        Description.of({"lowland": json.dumps(named)})


def test_the_file_does_not_say_where_the_first_weights_came_from(tmp_path: Path) -> None:
    described = _described(model={"name": "mlp", "init_from": {"job": "another"}})

    assert described.header() == _described(model={"name": "mlp"}).header()
    assert Description.of(described.header()) == _described(model={"name": "mlp"})


def test_samples_of_another_shape_are_refused_with_the_right_one(tmp_path: Path) -> None:
    _, model = _train(tmp_path)

    with pytest.raises(ValueError, match=r"^x is \[3, 8, 8\]; give \[B, 1, 8, 8\], the shape"):
        model(torch.zeros(3, 8, 8))


def _without_header(path: Path) -> None:
    safetensors.torch.save_file(safetensors.torch.load_file(path), path)


def _of_a_later_version(path: Path) -> None:
    header = {"lowland": '{"format": 2}'}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata=header)


def _of_another_model(path: Path) -> None:
    header = _described(model={"name": "mlp", "width": 16, "depth": 2}).header()
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata=header)


def _of_other_samples(path: Path) -> None:
    described = _described(model={"name": "resnet9"}, input_shape=[4], mean=[0.0] * 4, std=[1.0] * 4)
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata=described.header())


def _cut(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_without_header, "its header does not say which network it is of"),
        (_of_a_later_version, "its header cannot be read (format: Input should be 1)"),
        (_of_another_model, "4.weight is 10x16 there and 16x16 here; 4.bias is 10 there and 16 here; 7.weight"),
        (_of_other_samples, "no resnet9 takes samples of [4]"),
        (_cut, "it is no file of weights ("),
    ],
)
def test_a_file_that_is_not_of_a_job_is_refused(spoil: Callable[[Path], None], problem: str, tmp_path: Path) -> None:
    run(tiny(), tmp_path)
    spoil(tmp_path / WEIGHTS)

    with pytest.raises(WeightsUnusable) as refused:
        load(tmp_path / WEIGHTS)

    assert str(refused.value).startswith(f"{tmp_path / WEIGHTS} cannot be loaded: {problem}")


@pytest.mark.parametrize(
    "wrong", [{"mean": [0.0, 0.0]}, {"input_shape": [8, 8]}, {"classes": None}, {"model": {"name": "mlp", "wide": 3}}]
)
def test_a_description_that_contradicts_itself_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        _described(**wrong)


def _described(**fields: Any) -> Description:
    scale = {"mean": fields.pop("mean", [3.5]), "std": fields.pop("std", [2.0])}
    return Description.model_validate(
        {
            "model": {"name": "mlp"},
            "input_shape": [1, 8, 8],
            "features": None,
            "classes": ["a", "b", "c"],
            "normalised": {"inputs": scale, "targets": None},
            **fields,
        }
    )
