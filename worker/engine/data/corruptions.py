"""Damaging test images: what a model meets that was trained on clean ones, in five severities.

    severity         1     2     3     4     5
    gaussian_noise  .04   .06   .08   .09   .10   standard deviation, of the full range of 0 to 255
    blur            .4    .6    .7    .8    1     standard deviation of the Gaussian, in pixels of a side up to 32
    occlusion       2/8   3/8   4/8   5/8   6/8   side of the square, of the image's shorter one
    shift           1/16  2/16  3/16  4/16  5/16  distance down or up, of the height, and left or right, of the width

Noise and blur take the numbers of CIFAR-10-C. Our blur also grows with the shorter side above 32, and is never less
than the above: below about 0.4 pixels nothing is blurred. The square covers 6 to 56 % of a square image's area, and a
shift pushes 12 to 53 % of it out. Whole pixels are rounded up, so that the smallest image is damaged too; on 8 pixels
two neighbouring severities of shift can be the same.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019; numbers from `gaussian_noise` and `gaussian_blur` in the authors' code:
https://github.com/hendrycks/robustness/blob/ca360085d57889288c4143fddd8a707bbcae01bd/ImageNet-C/create_c/make_cifar_c.py
Occlusion (missing data, after DeVries and Taylor, 2017) and shift are not theirs.
Differs: they cut fractions of a pixel value off, we round; they repeat the edge under the blur, we weigh what is there.

Letters: B images in the batch, C channels, H height, W width. Every function takes uint8 [B, C, H, W] and returns the
same, without writing into what it was given; besides it needs at most three times the images in float32.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engine.randomness import generator_for

#: images, the training part's mean colour (uint8 [C]), severity, a generator on the images' device -> images
Corruption = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]

#: Images that draw their random numbers together.
DAMAGED_AT_ONCE: Final = 16

NOISE_STD: Final = (0.04, 0.06, 0.08, 0.09, 0.10)
BLUR_SIGMA: Final = (0.4, 0.6, 0.7, 0.8, 1.0)
#: The side of CIFAR-10's images, for which the above are meant.
BLUR_SIDE: Final = 32
#: Weights that change no pixel; left in, the smallest are subnormal numbers, with which a CPU is ten times slower.
NEGLIGIBLE: Final = 1e-8
OCCLUSION_SIDE: Final = (2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8)
SHIFT_DISTANCE: Final = (1 / 16, 2 / 16, 3 / 16, 4 / 16, 5 / 16)


def gaussian_noise(images: Tensor, mean: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Add to each value of each pixel a normal number of its own; what leaves 0 to 255 becomes black or full."""
    std = 255 * _at(severity, NOISE_STD)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return noise.mul_(std).add_(images).round_().clamp_(0, 255).to(torch.uint8)


def blur(images: Tensor, mean: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Replace each pixel by the mean of all, weighted by a Gaussian of their distance. Nothing is drawn."""
    height, width = images.shape[2:]
    sigma = _at(severity, BLUR_SIGMA) * max(1.0, min(height, width) / BLUR_SIDE)
    # The Gaussian is a product of one along the columns and one along the rows, and each is a product of matrices.
    along_height, along_width = (_gaussian(side, sigma, images.device) for side in (height, width))
    return (along_height @ images.float() @ along_width.T).round_().to(torch.uint8)


def occlusion(images: Tensor, mean: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Cover a square wholly inside each image, at a random place, in the mean colour."""
    height, width = images.shape[2:]
    side = math.ceil(min(height, width) * _at(severity, OCCLUSION_SIDE))
    rows = _covered(images, height, side, generator)
    columns = _covered(images, width, side, generator)
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], mean[:, None, None], images)


def shift(images: Tensor, mean: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Move each image towards one of its corners, which chance decides; what comes in is black."""
    height, width = images.shape[2:]
    down, right = (math.ceil(side * _at(severity, SHIFT_DISTANCE)) for side in (height, width))
    padded = F.pad(images, (right, right, down, down))
    moved = torch.where(_coin(images, generator), padded[:, :, :height], padded[:, :, 2 * down :])
    return torch.where(_coin(images, generator), moved[..., :width], moved[..., 2 * right :])


CORRUPTIONS: Final[Mapping[str, Corruption]] = {
    "gaussian_noise": gaussian_noise,
    "blur": blur,
    "occlusion": occlusion,
    "shift": shift,
}


def damaged(images: Tensor, first: int, *, corruption: str, mean: Tensor, severity: int, seed: int) -> Tensor:
    """Damage consecutive test images, each the same way whichever others are with it.

    Args:
        images: uint8 [B, C, H, W].
        first: the number of the first one.
        corruption: its name in `CORRUPTIONS`.
        mean: the training part's mean colour, uint8 [C].
        severity: 1 to 5.
        seed: of the job; with the corruption's name and an image's number it decides what chance does.
    """
    end = first + len(images)
    pieces: list[Tensor] = []
    for start in range(first - first % DAMAGED_AT_ONCE, end, DAMAGED_AT_ONCE):
        low, high = max(start, first), min(start + DAMAGED_AT_ONCE, end)
        piece = images.new_zeros((DAMAGED_AT_ONCE, *images.shape[1:]))
        piece[low - start : high - start] = images[low - first : high - first]
        generator = generator_for(seed, corruption, start, device=images.device)
        pieces.append(CORRUPTIONS[corruption](piece, mean, severity, generator)[low - start : high - start])
    return torch.cat(pieces)


def _at(severity: int, strengths: tuple[float, ...]) -> float:
    if not 1 <= severity <= len(strengths):
        raise ValueError(f"severity must be 1 to {len(strengths)}, got {severity}")
    return strengths[severity - 1]


def _gaussian(side: int, sigma: float, device: torch.device) -> Tensor:
    """The weight of each pixel of a line in the mean around each other: float32 [side, side], rows sum to 1."""
    place = torch.arange(side, dtype=torch.float32, device=device)
    weights = torch.softmax(-((place[:, None] - place) ** 2) / (2 * sigma**2), dim=1)
    return weights.where(weights > NEGLIGIBLE, 0)


def _covered(images: Tensor, length: int, side: int, generator: torch.Generator) -> Tensor:
    """Which rows or columns of each image a run of `side` of them covers: bool [B, length]."""
    first = torch.randint(0, length - side + 1, (len(images), 1), generator=generator, device=images.device)
    place = torch.arange(length, device=images.device)
    return (place >= first) & (place < first + side)


def _coin(images: Tensor, generator: torch.Generator) -> Tensor:
    """One toss for each image: bool [B, 1, 1, 1]."""
    return torch.rand((len(images), 1, 1, 1), generator=generator, device=images.device) < 0.5
