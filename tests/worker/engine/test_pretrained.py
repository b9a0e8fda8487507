"""Published weights to start from: where their file is looked for, and which of its tensors are taken."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import Tensor, nn

from lowland.networks.torchvision_models import published_weights
from lowland.spec.job import JobSpec
from lowland.spec.models import Architecture, Resnet18, Torchvision
from lowland.spec.unions import tagged_union
from tests.worker.engine.tiny_models import SHAPES, build, spec_of
from worker.engine.settings import EngineSettings
from worker.engine.weights.pretrained import load_pretrained
from worker.engine.weights.published import WeightsBroken, WeightsUnavailable, read_weights
from worker.engine.weights.warm_start import WarmStart, WarmStartUnsuited

UNION = tagged_union(JobSpec.model_fields["model"])
assert UNION is not None
SHUFFLENET = Torchvision(arch="shufflenet_v2_x0_5", pretrained=True)


def test_our_resnet18_takes_everything_but_stem_and_head(tmp_path: Path) -> None:
    spec = Resnet18(pretrained=True)
    published = _published("resnet18")
    shape = SHAPES["32x32 colour"]
    model, untouched = build(spec, shape, seed=2), build(spec, shape, seed=2).state_dict()

    start = load_pretrained(spec, model, _with_file("resnet18", published.state_dict(), tmp_path))

    stem = [f"0.{name}" for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")]
    fresh = (*stem, "0.1.num_batches_tracked", "10.linear.weight", "10.linear.bias")
    assert start == WarmStart(taken=len(untouched) - len(fresh), replaced=fresh)
    assert all(torch.equal(model.state_dict()[name], untouched[name]) for name in fresh)
    blocks = nn.Sequential(*(published.get_submodule(f"layer{stage}") for stage in (1, 2, 3, 4))).eval()
    ours = nn.Sequential(*list(model.children())[2:-1]).eval()
    x = torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), blocks(x))


def test_a_torchvision_model_takes_everything_but_the_head(tmp_path: Path) -> None:
    published = _published("shufflenet_v2_x0_5").state_dict()
    model, untouched = build(SHUFFLENET, seed=2), build(SHUFFLENET, seed=2).state_dict()

    start = load_pretrained(SHUFFLENET, model, _with_file("shufflenet_v2_x0_5", published, tmp_path))

    fresh = ("network.fc.weight", "network.fc.bias")
    assert start == WarmStart(taken=len(untouched) - 2, replaced=fresh)
    expected = {f"network.{name}": tensor for name, tensor in published.items()}
    _assert_same(model.state_dict(), {**expected, **{name: untouched[name] for name in fresh}})


def test_the_head_is_taken_too_where_there_are_as_many_classes(tmp_path: Path) -> None:
    published = _published("shufflenet_v2_x0_5").state_dict()
    model = build(SHUFFLENET, classes=1000, seed=2)

    start = load_pretrained(SHUFFLENET, model, _with_file("shufflenet_v2_x0_5", published, tmp_path))

    assert start == WarmStart(taken=len(published), replaced=())
    _assert_same(model.state_dict(), {f"network.{name}": tensor for name, tensor in published.items()})


def test_auxiliary_heads_in_the_file_are_passed_over(tmp_path: Path) -> None:
    spec = Torchvision(arch="googlenet", pretrained=True, resize=64)
    published = torchvision.models.googlenet(init_weights=False).state_dict()
    model = build(spec)

    load_pretrained(spec, model, _with_file("googlenet", published, tmp_path))

    assert any(name.startswith("aux1.") for name in published)
    for name in ("conv1.conv.weight", "inception5b.branch4.1.bn.running_var"):
        assert torch.equal(model.state_dict()[f"network.{name}"], published[name])


def test_densenet_s_file_has_older_names(tmp_path: Path) -> None:
    spec = Torchvision(arch="densenet121", pretrained=True, resize=32)
    published = _published("densenet121").state_dict()
    older = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in published.items()
        if not name.endswith("num_batches_tracked")
    }
    model = build(spec)

    load_pretrained(spec, model, _with_file("densenet121", older, tmp_path))

    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    for name in ("features.denseblock1.denselayer1.norm1.weight", "features.denseblock4.denselayer16.conv2.weight"):
        assert torch.equal(model.state_dict()[f"network.{name}"], published[name])


def test_weights_for_another_image_size_are_refused_with_theirs(tmp_path: Path) -> None:
    spec = Torchvision(arch="vit_b_32", pretrained=True)
    settings = _with_file("vit_b_32", {"encoder.pos_embedding": torch.zeros(1, 50, 768)}, tmp_path)

    with pytest.raises(WarmStartUnsuited) as refused:
        load_pretrained(spec, build(spec, SHAPES["32x32 colour"]), settings)

    assert str(refused.value) == (
        "model.pretrained: encoder.pos_embedding is 1x50x768 there and 1x2x768 here. Set model.resize to 224."
    )


def test_a_file_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    published = _published("shufflenet_v2_x0_5").state_dict()
    del published["conv1.0.weight"]

    with pytest.raises(
        WarmStartUnsuited, match=r"^model\.pretrained: conv1\.0\.weight is not there and 24x3x3x3 here\. "
    ):
        load_pretrained(SHUFFLENET, build(SHUFFLENET), _with_file("shufflenet_v2_x0_5", published, tmp_path))


@pytest.mark.parametrize("name", [name for name, model in UNION.members.items() if "pretrained" in model.model_fields])
def test_every_model_that_can_be_pretrained_reads_its_file(name: str, tmp_path: Path) -> None:
    spec = spec_of(name, pretrained=True, **({"width": 64} if name == "resnet18" else {}))
    arch = spec.arch if isinstance(spec, Torchvision) else "resnet18"
    settings = _with_file(arch, {}, tmp_path)
    _path(arch, tmp_path).write_bytes(b"no weights")

    with pytest.raises(WeightsBroken):
        load_pretrained(spec, build(spec), settings)


@pytest.mark.parametrize("name", UNION.members)
def test_a_model_that_is_not_pretrained_is_left_alone(name: str, tmp_path: Path) -> None:
    model = build(spec_of(name))

    assert load_pretrained(spec_of(name), model, EngineSettings(download_dir=tmp_path)) is None
    _assert_same(model.state_dict(), build(spec_of(name)).state_dict())


def test_a_file_is_downloaded_once_and_found_again(tmp_path: Path) -> None:
    source, settings = _at_a_server({"w": torch.ones(2)}, tmp_path), EngineSettings(download_dir=tmp_path / "down")

    first = read_weights(source.as_uri(), settings)
    source.unlink()
    second = read_weights(source.as_uri(), settings)

    assert torch.equal(first["w"], torch.ones(2))
    assert torch.equal(second["w"], torch.ones(2))
    assert [path.name for path in (tmp_path / "down" / "weights").iterdir()] == [source.name]


def test_a_file_in_the_data_folder_goes_first(tmp_path: Path) -> None:
    source = _at_a_server({"w": torch.ones(2)}, tmp_path)
    (tmp_path / "data" / "weights").mkdir(parents=True)
    torch.save({"w": torch.zeros(2)}, tmp_path / "data" / "weights" / source.name)
    settings = EngineSettings(data_dir=tmp_path / "data", download_dir=tmp_path / "down")

    assert torch.equal(read_weights(source.as_uri(), settings)["w"], torch.zeros(2))
    assert not (tmp_path / "down").exists()


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    source = _at_a_server({"w": torch.ones(2)}, tmp_path)
    torch.save({"w": torch.zeros(2)}, source)

    with pytest.raises(WeightsUnavailable, match=rf"^{source.name} is not on disk .* invalid hash value"):
        read_weights(source.as_uri(), EngineSettings(download_dir=tmp_path / "down"))

    assert list((tmp_path / "down" / "weights").iterdir()) == []


def test_weights_that_cannot_be_had_say_where_they_were_looked_for(tmp_path: Path) -> None:
    file = "gone-01234567.pth"
    down = tmp_path / "down"

    with pytest.raises(WeightsUnavailable) as refused:
        read_weights((tmp_path / file).as_uri(), EngineSettings(data_dir=None, download_dir=down))

    message = str(refused.value)
    assert message.startswith(
        f"{file} is not on disk (LOWLAND_DATA_DIR is not set; {down}/weights/{file} is not there) "
        "and downloading it failed (URLError: "
    )
    assert message.endswith(
        "Put it into the folder weights of LOWLAND_DATA_DIR, give this machine internet access, "
        "or set model.pretrained to false."
    )
    assert refused.value.permanent


@pytest.mark.parametrize(
    ("contents", "problem"),
    [(torch.ones(2), "it holds a Tensor"), ({"w": Path("anything but tensors")}, "UnpicklingError: ")],
    ids=["no tensors by name", "other objects"],
)
def test_a_file_of_something_else_is_refused(contents: object, problem: str, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "odd-01234567.pth"
    torch.save(contents, path)

    with pytest.raises(WeightsBroken) as refused:
        read_weights(path.as_uri(), EngineSettings(download_dir=tmp_path))

    assert str(refused.value).startswith(f"{path} cannot be read: {problem}")


def _published(arch: Architecture) -> nn.Module:
    """What stands for torchvision's trained network: as large, and as good as random."""
    torch.manual_seed(1)
    return torchvision.models.get_model(arch, weights=None)


def _path(arch: Architecture, folder: Path) -> Path:
    return folder / "weights" / published_weights(arch).url.rpartition("/")[2]


def _with_file(arch: Architecture, tensors: dict[str, Tensor], folder: Path) -> EngineSettings:
    """The settings of a machine that has a file of weights on disk."""
    path = _path(arch, folder)
    path.parent.mkdir()
    torch.save(tensors, path)
    return EngineSettings(data_dir=folder, download_dir=folder / "down")


def _at_a_server(tensors: dict[str, Tensor], folder: Path) -> Path:
    """A file named after its checksum, as torch's servers have it; a file's URL stands for theirs."""
    (folder / "server").mkdir()
    path = folder / "server" / "weights.pth"
    torch.save(tensors, path)
    return path.rename(path.with_name(f"tiny-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"))


def _assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
