"""Decoded images, kept so that the next run maps them into memory instead of decoding them again.

<LOWLAND_CACHE_DIR>/<dataset>-<key>/
    train-inputs.npy      uint8 [M, C, H, W]
    train-targets.npy     int64 [M]
    train-moments.npy     int64 [M, C, 2]: see `Samples.moments`
    validation-..., test-...
    meta.json             written last: the classes, the shapes, the checksums of the files that were decoded

The key says which files were decoded (place, size, times of change), how, and in which format they are kept. An entry
is written beside its place and renamed, so that whoever finds it finds all of it; of several engines that decode at
once each trains on what it wrote, and one of these stays. What is damaged is made again. Where nothing can be written,
images are decoded into memory.

Letters: M images of a part, C channels, H height, W width.
"""

import json
import logging
import secrets
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from worker.engine.data.checksums import checksums
from worker.engine.data.dataset import Samples
from worker.engine.data.normalise import moments_of
from worker.engine.files import write_file
from worker.engine.reporting import SILENT, PreparingMeter, Reporter
from worker.engine.settings import EngineSettings

log: Final = logging.getLogger(__name__)

#: Changes whenever what is kept, or how images are decoded, does.
FORMAT: Final = 2

#: An entry that nobody has written to for so many seconds before it was complete is nobody's.
ABANDONED_AFTER_S: Final = 3600

PartName = Literal["train", "validation", "test"]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedPart:
    """A part of an image set, image by image."""

    shape: Shape
    """M, C, H and W."""
    blocks: Callable[[], Iterator[np.ndarray]]
    """Its images in order, uint8 [any, C, H, W] at a time; may be asked for again."""
    targets: np.ndarray
    """Classes, int64 [M]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An image set as its files have it."""

    classes: tuple[str, ...]
    parts: Mapping[PartName, DecodedPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An image set, ready to be used."""

    classes: tuple[str, ...]
    parts: Mapping[PartName, Samples]
    checksums: Mapping[str, str]


class _Meta(BaseModel):
    """What `meta.json` holds."""

    classes: tuple[str, ...]
    shapes: dict[PartName, Shape]
    checksums: dict[str, str]


def opened(
    dataset: str,
    decode: Callable[[], Decoded],
    *,
    files: Mapping[str, Path],
    settings: EngineSettings,
    reporter: Reporter = SILENT,
    options: object = None,
) -> Opened:
    """Open what was kept of a dataset, or decode it and keep it.

    Args:
        dataset: its name.
        decode: reads the files.
        files: those it reads, by their paths under the dataset's folder.
        settings: say where decoded images are kept.
        reporter: is told now and then how far reading is.
        options: how it decodes them, as JSON values.
    """
    entry = settings.cache_dir / f"{dataset}-{_key(files, options)}"
    if entry.exists():
        try:
            return _read(entry)
        except (OSError, ValueError, EOFError) as problem:
            log.warning("decoded images are damaged and made again: folder=%s problem=%s", entry, problem)
    decoded = _reported(decode(), reporter)
    meta = _Meta(
        classes=decoded.classes,
        shapes={name: part.shape for name, part in decoded.parts.items()},
        checksums=checksums(files, reporter),
    )
    try:
        return _keep(entry, decoded, meta)
    except BrokenPipeError:  # it is the reports that nobody takes, and not the images
        raise
    except OSError as problem:
        log.warning("decoded images are not kept: folder=%s problem=%s", entry, problem)
    in_memory: dict[PartName, Samples] = {name: _in_memory(part) for name, part in decoded.parts.items()}
    return Opened(classes=meta.classes, parts=in_memory, checksums=meta.checksums)


def _reported(decoded: Decoded, reporter: Reporter) -> Decoded:
    """The same, with a report every now and then while its blocks are read."""

    def blocks(part: DecodedPart) -> Iterator[np.ndarray]:
        meter = PreparingMeter(reporter, "decoding", of=part.shape[0])
        for block in part.blocks():
            meter.count(len(block))
            yield block

    parts: dict[PartName, DecodedPart] = {
        name: replace(part, blocks=partial(blocks, part)) for name, part in decoded.parts.items()
    }
    return replace(decoded, parts=parts)


def _key(files: Mapping[str, Path], options: object) -> str:
    stats = [(str(path.resolve()), path.stat()) for _, path in sorted(files.items())]
    # By the time of the inode's change too, which nobody sets: contents may be replaced under an old time.
    seen = [FORMAT, options, [(place, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for place, stat in stats]]
    return blake2b(json.dumps(seen).encode(), digest_size=16).hexdigest()


def _keep(entry: Path, decoded: Decoded, meta: _Meta) -> Opened:
    """Write an entry, open it, and bring it to its place; opened, it stays usable wherever its files go."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry)
    arriving = entry.with_name(f".{entry.name}-{secrets.token_hex(8)}")
    leaving = arriving.with_name(f"{arriving.name}-old")
    arriving.mkdir()
    try:
        for name, part in decoded.parts.items():
            _write(arriving, name, part)
        write_file(arriving / "meta.json", lambda file: file.write(meta.model_dump_json().encode()))
        kept = _read(arriving)
        with suppress(FileNotFoundError):  # what is there is damaged, or as good
            entry.rename(leaving)
        try:
            arriving.rename(entry)
        except OSError:
            if not entry.exists():
                raise  # else another engine was quicker
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.rmtree(leaving, ignore_errors=True)
    return kept


def _sweep(entry: Path) -> None:
    """Remove what engines that were killed while they wrote this entry have left."""
    for left in entry.parent.glob(f".{entry.name}-*"):
        with suppress(OSError):  # another engine may be removing it
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > ABANDONED_AFTER_S:
                shutil.rmtree(left)


def _write(folder: Path, name: PartName, part: DecodedPart) -> None:
    """Write a part's three files, and measure its images on the way."""
    moments: list[np.ndarray] = []

    def write_inputs(file: BinaryIO) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
            "fortran_order": False,
            "shape": part.shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        for block in part.blocks():
            writable = np.require(block, requirements=("C", "W"))  # torch warns of what is not
            file.write(writable.data)
            moments.append(moments_of(torch.from_numpy(writable)).numpy())

    write_file(folder / f"{name}-inputs.npy", write_inputs)
    for kind, array in ("targets", part.targets), ("moments", np.concatenate(moments)):
        write_file(folder / f"{name}-{kind}.npy", partial(np.save, arr=array))


def _in_memory(part: DecodedPart) -> Samples:
    inputs = np.empty(part.shape, np.uint8)
    moments: list[Tensor] = []
    start = 0
    for block in part.blocks():
        place = inputs[start : start + len(block)]
        place[:] = block
        moments.append(moments_of(torch.from_numpy(place)))
        start += len(block)
    return Samples(source=torch.from_numpy(inputs), targets=torch.from_numpy(part.targets), moments=torch.cat(moments))


def _read(entry: Path) -> Opened:
    """Map an entry's arrays into memory.

    Raises:
        OSError, ValueError, EOFError: a file is missing, or is not what `meta.json` says.
    """
    meta = _Meta.model_validate_json((entry / "meta.json").read_bytes())
    parts: dict[PartName, Samples] = {}
    for name, (count, channels, *sides) in meta.shapes.items():
        parts[name] = Samples(
            source=_mapped(entry / f"{name}-inputs.npy", np.uint8, (count, channels, *sides)),
            targets=_mapped(entry / f"{name}-targets.npy", np.int64, (count,)),
            moments=_mapped(entry / f"{name}-moments.npy", np.int64, (count, channels, 2)),
        )
    return Opened(classes=meta.classes, parts=parts, checksums=meta.checksums)


def _mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
    array = np.load(path, mmap_mode="r")
    if (array.dtype, array.shape) != (dtype, shape) or path.stat().st_size != array.offset + array.nbytes:
        raise ValueError(f"{path.name} does not hold {shape} of {np.dtype(dtype)}")
    with warnings.catch_warnings():
        # torch warns that writing would fail; nothing writes into samples. A writable private mapping, which would
        # not warn, could not be larger than memory.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)
