"""Datasets: found on disk, downloaded, or a clear error; read right whatever their format."""

import dataclasses
import gzip
import hashlib
import http.server
import pickle
import struct
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from pydantic import TypeAdapter
from torchvision.datasets import CIFAR10, CIFAR100, KMNIST

from lowland.spec.datasets import Cifar10, DatasetSpec, Kmnist
from lowland.spec.reports import Broken
from tests.worker.engine.running import run, tiny
from worker.engine.data import DATASETS, Samples, cifar10, cifar100, fashion_mnist, kmnist, mnist, svhn
from worker.engine.data.idx import idx_files
from worker.engine.data.torchvision_files import TorchvisionFiles
from worker.engine.errors import DatasetBroken, DatasetUnavailable
from worker.engine.fetching import at_hand
from worker.engine.settings import EngineSettings

#: Those of the MNIST family, for small files in the place of the published ones.
GREY = {
    name: dataclasses.replace(files, sha256={})
    for name, files in {"mnist": mnist.FILES, "kmnist": kmnist.FILES, "fashion-mnist": fashion_mnist.FILES}.items()
}
SMALL = GREY["kmnist"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever tries the network is refused at once: nothing listens on the discard port."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("LOWLAND_DATA_DIR", raising=False)
    _forget_proxies()
    yield
    _forget_proxies()


def _forget_proxies() -> None:
    """urllib reads the proxies from the environment once, when it is first used."""
    urllib.request.install_opener(None)  # pyright: ignore[reportArgumentType]: it then makes a new one


def _settings(tmp_path: Path, data_dir: Path | None = None) -> EngineSettings:
    return EngineSettings(data_dir=data_dir, download_dir=tmp_path / "downloads", cache_dir=tmp_path / "decoded")


def _spec(name: str) -> DatasetSpec:
    return TypeAdapter[DatasetSpec](DatasetSpec).validate_python(name)


def _images(samples: Samples) -> np.ndarray:
    """All inputs of some samples, in order."""
    return samples.inputs(torch.arange(len(samples))).numpy()


def _ends(samples: Samples) -> tuple[int, ...]:
    """The first and the last few targets."""
    return (*samples.targets[:3].tolist(), *samples.targets[-2:].tolist())


def _pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def _idx(array: np.ndarray) -> bytes:
    """The format of the MNIST family: a magic number with the type (8 is uint8) and the dimensions, big-endian."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def _idx_contents(*, train: int = 30, test: int = 20) -> list[bytes]:
    """What the four files of a small set hold, in the order of `idx_files`."""
    return [
        _idx(array)
        for count in (train, test)
        for array in (_pixels(count, 28, 28), (np.arange(count) % 10).astype(np.uint8))
    ]


def _write_idx(folder: Path, files: TorchvisionFiles, contents: list[bytes]) -> None:
    for name, content in zip(files.files, contents, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _small_cifar(folder: Path) -> TorchvisionFiles:
    """Files of four images each in CIFAR-10's format, and a reader that knows their checksums."""
    base = folder / CIFAR10.base_folder
    base.mkdir(parents=True)
    training = [f"data_batch_{number}" for number in range(1, 6)]
    contents: dict[str, object] = {
        name: {"data": np.full((4, 3072), number, dtype=np.uint8), "labels": [number, 1, 2, 9]}
        for number, name in enumerate(training)
    }
    contents["test_batch"] = {"data": _pixels(4, 3072), "labels": [0, 1, 2, 9]}
    contents["batches.meta"] = {"label_names": [f"class {number}" for number in range(10)]}
    sums = _write_pickles(base, contents)
    known = {
        "train_list": [[name, sums[name]] for name in training],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
    }
    return dataclasses.replace(cifar10.FILES, reader=type("SmallCifar", (CIFAR10,), known))


def _small_cifar100(folder: Path) -> TorchvisionFiles:
    """Six images in CIFAR-100's format, with coarse labels beside the fine ones."""
    base = folder / CIFAR100.base_folder
    base.mkdir(parents=True)
    parts = {"train": [0, 99, 42, 7], "test": [99, 1]}
    contents: dict[str, object] = {
        name: {"data": _pixels(len(labels), 3072), "fine_labels": labels, "coarse_labels": [0] * len(labels)}
        for name, labels in parts.items()
    }
    contents["meta"] = {"fine_label_names": [f"kind {number}" for number in range(100)], "coarse_label_names": []}
    sums = _write_pickles(base, contents)
    known = {
        "train_list": [["train", sums["train"]]],
        "test_list": [["test", sums["test"]]],
        "meta": {"filename": "meta", "key": "fine_label_names", "md5": sums["meta"]},
    }
    return dataclasses.replace(cifar100.FILES, reader=type("SmallCifar100", (CIFAR100,), known))


def _write_pickles(folder: Path, contents: dict[str, object]) -> dict[str, str]:
    """Write each under its name; their MD5 sums."""
    raw = {name: pickle.dumps(content) for name, content in contents.items()}
    for name, content in raw.items():
        (folder / name).write_bytes(content)
    return {name: hashlib.md5(content).hexdigest() for name, content in raw.items()}


def _small_svhn(folder: Path) -> TorchvisionFiles:
    """A few images in SVHN's format, where images come last, digit 0 is called 10, and a reader that knows the sums."""
    folder.mkdir()
    known = {}
    for part, labels in {"train": [1, 10, 5], "test": [10, 9]}.items():
        path = folder / f"{part}_32x32.mat"
        pixels = _pixels(len(labels), 32, 32, 3).transpose(1, 2, 3, 0)
        scipy.io.savemat(path, {"X": pixels, "y": np.array(labels, dtype=np.uint8)[:, None]})
        known[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    return dataclasses.replace(svhn.FILES, reader=type("SmallSvhn", (svhn.Reader,), {"split_list": known}))


@pytest.mark.parametrize("name", GREY)
def test_idx_files_in_the_data_folder_are_read_pixel_for_pixel(tmp_path: Path, name: str) -> None:
    _write_idx(tmp_path / "data", GREY[name], _idx_contents())

    dataset = GREY[name].load(_spec(name), _settings(tmp_path, tmp_path / "data"))

    assert np.array_equal(_images(dataset.train)[:, 0], _pixels(30, 28, 28))
    assert dataset.train.targets.tolist() == [number % 10 for number in range(30)]
    assert np.array_equal(_images(dataset.test)[:, 0], _pixels(20, 28, 28))


def test_classes_have_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for files in GREY.values():
        _write_idx(data, files, _idx_contents())

    names = {name: files.load(_spec(name), _settings(tmp_path, data)).classes for name, files in GREY.items()}

    assert names == {
        "mnist": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "fashion-mnist": ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                          "Ankle boot"),
    }  # fmt: skip


def test_cifar_files_in_the_data_folder_are_read_channel_by_channel(tmp_path: Path) -> None:
    files = _small_cifar(tmp_path / "data")

    dataset = files.load(Cifar10(), _settings(tmp_path, tmp_path / "data"))

    assert _images(dataset.train).shape == (20, 3, 32, 32)
    assert _images(dataset.train)[:, 0, 0, 0].tolist() == [n for n in range(5) for _ in range(4)]
    assert dataset.train.targets.tolist() == [label for n in range(5) for label in (n, 1, 2, 9)]
    # A row of a CIFAR file is all of red, then green, then blue.
    assert np.array_equal(_images(dataset.test).reshape(4, 3072), _pixels(4, 3072))
    assert dataset.classes == tuple(f"class {number}" for number in range(10))


def test_cifar100_has_its_fine_classes(tmp_path: Path) -> None:
    files = _small_cifar100(tmp_path / "data")

    dataset = files.load(_spec("cifar100"), _settings(tmp_path, tmp_path / "data"))

    assert (dataset.train.targets.tolist(), dataset.test.targets.tolist()) == ([0, 99, 42, 7], [99, 1])
    assert np.array_equal(_images(dataset.train).reshape(4, 3072), _pixels(4, 3072))
    assert dataset.classes == tuple(f"kind {number}" for number in range(100))


def test_svhn_has_its_images_first_and_calls_the_zero_0(tmp_path: Path) -> None:
    files = _small_svhn(tmp_path / "data")

    dataset = files.load(_spec("svhn"), _settings(tmp_path, tmp_path / "data"))

    assert (dataset.train.targets.tolist(), dataset.test.targets.tolist()) == ([1, 0, 5], [0, 9])
    assert np.array_equal(_images(dataset.train), _pixels(3, 32, 32, 3).transpose(0, 3, 1, 2))
    assert np.array_equal(_images(dataset.test), _pixels(2, 32, 32, 3).transpose(0, 3, 1, 2))


def test_an_svhn_file_that_is_not_the_published_one_is_broken(tmp_path: Path) -> None:
    _small_svhn(tmp_path / "data")

    with pytest.raises(
        DatasetBroken, match=r"^svhn in .* cannot be read: RuntimeError: Dataset not found or corrupted"
    ):
        svhn.FILES.load(_spec("svhn"), _settings(tmp_path, tmp_path / "data"))


def test_a_dataset_says_which_files_it_was_read_from(tmp_path: Path) -> None:
    _write_idx(tmp_path / "data", SMALL, _idx_contents())

    dataset = SMALL.load(Kmnist(), _settings(tmp_path, tmp_path / "data"))

    assert dataset.checksums == {
        name: hashlib.sha256(content).hexdigest() for name, content in zip(SMALL.files, _idx_contents(), strict=True)
    }


def test_the_data_folder_is_only_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _write_idx(data, SMALL, _idx_contents())
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}

    SMALL.load(Kmnist(), _settings(tmp_path, data))

    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert not (tmp_path / "downloads").exists()


def test_a_dataset_that_cannot_be_had_is_a_permanent_error_that_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("LOWLAND_DATA_DIR", str(data))
    monkeypatch.setenv("LOWLAND_DOWNLOAD_DIR", str(tmp_path / "downloads"))

    ended = run(tiny(dataset="kmnist"), tmp_path / "out")

    report = ended.one(Broken)
    assert ended.status == 1
    assert (report.type, report.permanent) == ("dataset-unavailable", True)
    for said in (
        "kmnist",
        f"{data} has no KMNIST/raw/train-images-idx3-ubyte",
        str(tmp_path / "downloads"),
        "LOWLAND_DATA_DIR",
    ):
        assert said in report.detail


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_without_a_data_folder_and_a_network_there_is_no_dataset(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetUnavailable, match=f"^{name} is not on disk .LOWLAND_DATA_DIR is not set;"):
        DATASETS[name](_spec(name), _settings(tmp_path))

    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_truncated_file_is_broken_and_named_by_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    contents = _idx_contents()
    _write_idx(data, SMALL, [contents[0][:-5], *contents[1:]])

    with pytest.raises(DatasetBroken, match=f"^kmnist in {data} cannot be read: "):
        SMALL.load(Kmnist(), _settings(tmp_path, data))


def test_labels_that_are_no_classes_are_broken(tmp_path: Path) -> None:
    contents = _idx_contents()
    _write_idx(tmp_path / "data", SMALL, [*contents[:3], _idx(np.full(20, 10, dtype=np.uint8))])

    with pytest.raises(DatasetBroken, match="a label is not in 0 to 9"):
        SMALL.load(Kmnist(), _settings(tmp_path, tmp_path / "data"))


def test_images_without_labels_are_broken(tmp_path: Path) -> None:
    contents = _idx_contents()
    _write_idx(tmp_path / "data", SMALL, [*contents[:3], _idx(np.zeros(19, dtype=np.uint8))])

    with pytest.raises(DatasetBroken, match="there are 20 images and 19 labels"):
        SMALL.load(Kmnist(), _settings(tmp_path, tmp_path / "data"))


def test_a_pickle_that_is_not_the_published_one_is_never_opened(tmp_path: Path) -> None:
    """A pickle runs code when it is read; torchvision compares its checksum first."""
    data, trap = tmp_path / "data", tmp_path / "trap"
    _small_cifar(data)

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (trap,)

    (data / CIFAR10.base_folder / "data_batch_1").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(DatasetBroken, match=r"^cifar10 in"):
        cifar10.FILES.load(Cifar10(), _settings(tmp_path, data))

    assert not trap.exists()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TorchvisionFiles]:
    """A small dataset that can be downloaded, from a server on this machine."""
    served = tmp_path / "served"
    served.mkdir()
    packed = {}
    for name, content in zip(idx_files("SmallKmnist"), _idx_contents(), strict=True):
        packed[f"{Path(name).name}.gz"] = gzip.compress(content)
    for name, content in packed.items():
        (served / name).write_bytes(content)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))  # pyright: ignore[reportArgumentType]: passed on as they come

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.delenv("http_proxy")
    _forget_proxies()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = {
            "mirrors": [f"http://127.0.0.1:{server.server_port}/"],
            "resources": [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()],
        }
        reader = type("SmallKmnist", (KMNIST,), known)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield dataclasses.replace(SMALL, reader=reader, files=idx_files("SmallKmnist"))
        server.shutdown()


def test_a_dataset_that_is_not_on_disk_is_downloaded_once(tmp_path: Path, mirror: TorchvisionFiles) -> None:
    first = mirror.load(Kmnist(), _settings(tmp_path))
    for path in (tmp_path / "served").iterdir():
        path.unlink()
    again = mirror.load(Kmnist(), _settings(tmp_path))

    assert np.array_equal(_images(first.train)[:, 0], _pixels(30, 28, 28))
    assert np.array_equal(_images(first.train), _images(again.train))
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["kmnist"]


def test_a_download_with_the_wrong_checksum_is_not_kept(tmp_path: Path, mirror: TorchvisionFiles) -> None:
    (tmp_path / "served" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"something else"))

    with pytest.raises(DatasetUnavailable):
        mirror.load(Kmnist(), _settings(tmp_path))

    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_dataset_is_fetched_into_a_folder_that_has_others(tmp_path: Path, mirror: TorchvisionFiles) -> None:
    folder = tmp_path / "data"
    (folder / "flowers").mkdir(parents=True)

    assert mirror.found(_settings(tmp_path, folder)) is None
    mirror.fetch(folder)

    assert mirror.found(_settings(tmp_path, folder)) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["SmallKmnist", "flowers"]
    loaded = mirror.load(Kmnist(), _settings(tmp_path, folder))
    assert np.array_equal(_images(loaded.train)[:, 0], _pixels(30, 28, 28))
    assert not (tmp_path / "downloads").exists()


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path, mirror: TorchvisionFiles) -> None:
    (tmp_path / "served" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"something else"))

    with pytest.raises(DatasetUnavailable, match="does not have all of it"):
        mirror.fetch(tmp_path / "data")

    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_at_hand_is_known_without_reading_it(tmp_path: Path) -> None:
    _write_idx(tmp_path / "data", GREY["kmnist"], _idx_contents())

    there = dict(at_hand(_settings(tmp_path, tmp_path / "data")))

    assert {name: folder for name, folder in there.items() if folder} == {"kmnist": tmp_path / "data"}
    assert set(there) == {"mnist", "kmnist", "fashion-mnist", "cifar10", "cifar100", "svhn"}


@pytest.mark.parametrize(
    ("name", "shape", "train", "ends"),
    [
        ("mnist", (1, 28, 28), 60_000, (5, 0, 4, 6, 8)),
        ("kmnist", (1, 28, 28), 60_000, (8, 7, 0, 4, 9)),
        ("fashion-mnist", (1, 28, 28), 60_000, (9, 0, 0, 0, 5)),
        ("cifar10", (3, 32, 32), 50_000, (6, 9, 9, 1, 1)),
    ],
)
def test_the_real_sets_are_complete_and_in_order(
    tmp_path: Path, real_data: Path, name: str, shape: tuple[int, int, int], train: int, ends: tuple[int, ...]
) -> None:
    files = {**GREY, "cifar10": cifar10.FILES}[name].files
    if not all((real_data / file).is_file() for file in files):
        pytest.skip(f"LOWLAND_DATA_DIR does not hold {name}")

    dataset = DATASETS[name](_spec(name), _settings(tmp_path, real_data))

    assert (dataset.train.source.shape, dataset.test.source.shape) == ((train, *shape), (10_000, *shape))
    assert _ends(dataset.train) == ends
    if name != "mnist":
        assert torch.bincount(dataset.train.targets).tolist() == [train // 10] * 10
        assert torch.bincount(dataset.test.targets).tolist() == [1000] * 10


def test_a_file_of_the_mnist_family_that_is_not_the_published_one_is_named(tmp_path: Path) -> None:
    """torchvision reads it as it is: of the right size, it may hold anything."""
    _write_idx(tmp_path / "data", SMALL, _idx_contents())

    with pytest.raises(DatasetBroken, match="train-images-idx3-ubyte is not the published file: its SHA-256 is "):
        kmnist.FILES.load(Kmnist(), _settings(tmp_path, tmp_path / "data"))
