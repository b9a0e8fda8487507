"""Varying training images: whole batches at once, on the device where they lie, in whole pixels.

    none        as they are
    shift       moved by up to 2 pixels each way, what comes in is black
    flip        mirrored left to right, every second one
    crop-flip   moved by up to 4 pixels each way, what comes in is the image reflected at its edge; then flip
    cutout      crop-flip, then a square of 8x8 pixels (at most half the image's side) in the training mean's colour

Letters: B images in the batch, C channels, H height, W width. Every function takes uint8 [B, C, H, W] and returns the
same, without writing into what it was given.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

#: images, the training part's mean colour (uint8 [C]), a generator on the images' device -> images
Augmentation = Callable[[Tensor, Tensor, torch.Generator], Tensor]

SHIFT_PIXELS: Final = 2
CROP_PIXELS: Final = 4
CUTOUT_PIXELS: Final = 8


def none(images: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """The images as they are."""
    return images


def shift(images: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to 2 pixels, filling with black."""
    rows, columns = _moved(images, SHIFT_PIXELS, generator)
    height, width = images.shape[2:]
    inside = (
        ((rows >= 0) & (rows < height))[:, None, :, None]
        & ((columns >= 0) & (columns < width))[:, None, None, :]
    )  # fmt: skip
    return _gathered(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1)) * inside


def flip(images: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability one half."""
    chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def crop_flip(images: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to 4 pixels, filling with its reflection, and mirror it with probability one half."""
    rows, columns = _moved(images, CROP_PIXELS, generator)
    height, width = images.shape[2:]
    moved = _gathered(images, _reflected(rows, height), _reflected(columns, width))
    return flip(moved, mean, generator)


def cutout(images: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """`crop_flip`, then a square wholly inside each image in the mean colour (after DeVries and Taylor, 2017)."""
    images = crop_flip(images, mean, generator)
    height, width = images.shape[2:]
    side = min(CUTOUT_PIXELS, height // 2, width // 2)
    top = _draw(images, 0, height - side, generator)
    left = _draw(images, 0, width - side, generator)
    row = torch.arange(height, device=images.device)
    column = torch.arange(width, device=images.device)
    covered = (
        ((row >= top) & (row < top + side))[:, None, :, None]
        & ((column >= left) & (column < left + side))[:, None, None, :]
    )  # fmt: skip
    return torch.where(covered, mean[None, :, None, None], images)


AUGMENTATIONS: Final[Mapping[str, Augmentation]] = {
    "none": none,
    "shift": shift,
    "flip": flip,
    "crop-flip": crop_flip,
    "cutout": cutout,
}


def _draw(images: Tensor, lowest: int, highest: int, generator: torch.Generator) -> Tensor:
    """One whole number for each image, both ends included: int64 [B, 1]."""
    return torch.randint(lowest, highest + 1, (len(images), 1), generator=generator, device=images.device)


def _moved(images: Tensor, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which row [B, H] and column [B, W] of the image each pixel of the result comes from; some lie outside."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) + _draw(images, -most, most, generator)
    columns = torch.arange(width, device=images.device) + _draw(images, -most, most, generator)
    return rows, columns


def _reflected(index: Tensor, size: int) -> Tensor:
    """Fold indices that lie outside back in, to and fro, without repeating the edge."""
    period = max(2 * (size - 1), 1)
    within = index % period
    return torch.minimum(within, period - within)


def _gathered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels at each image's own rows [B, H] and columns [B, W]."""
    image = torch.arange(len(images), device=images.device)[:, None, None]
    pixels = images[image, :, rows[:, :, None], columns[:, None, :]]  # [B, H, W, C]
    return pixels.permute(0, 3, 1, 2)
