"""Corruptions do the damage they say, more with every severity, and are decided by their generator alone."""

import math
from itertools import accumulate, pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from torch import Tensor

from lowland.spec.job import Evaluate
from worker.engine.data.corruptions import (
    BLUR_SIGMA,
    CORRUPTIONS,
    NOISE_STD,
    blur,
    damaged,
    gaussian_noise,
    occlusion,
    shift,
)

MEAN = torch.tensor([100, 101, 102], dtype=torch.uint8)
SEVERITIES = (1, 2, 3, 4, 5)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(count: int = 64, channels: int = 3, height: int = 12, width: int | None = None) -> Tensor:
    """Every value between 110 and 249: none is black or the mean colour."""
    shape = (count, channels, height, width or height)
    return torch.randint(110, 250, shape, dtype=torch.uint8, generator=_generator(99))


def _digits(size: int) -> Tensor:
    """200 handwritten digits, scaled."""
    pixels, _ = load_digits(return_X_y=True)
    digits = torch.from_numpy(pixels[:200]).float().view(-1, 1, 8, 8) * 15
    return F.interpolate(digits, size=(size, size), mode="bilinear").round().to(torch.uint8)


def _damage(name: str, images: Tensor, severity: int) -> float:
    damaged = CORRUPTIONS[name](images, MEAN[:1], severity, _generator())
    return float((damaged.float() - images.float()).abs().mean())


def test_they_are_those_of_the_contract() -> None:
    assert list(CORRUPTIONS) == Evaluate.model_json_schema()["properties"]["corruptions"]["items"]["enum"]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 40), (1, 1, 1)])
def test_shape_and_type_stay_and_the_input_is_left_alone(
    name: str, severity: int, channels: int, height: int, width: int
) -> None:
    images = _images(8, channels, height, width)
    before = images.clone()

    damaged = CORRUPTIONS[name](images, MEAN[:channels], severity, _generator())

    assert (damaged.shape, damaged.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"blur"}))
def test_the_generator_decides_and_nothing_else_does(name: str) -> None:
    torch.manual_seed(1)
    first, again, other = (CORRUPTIONS[name](_images(), MEAN, 3, _generator(seed)) for seed in (5, 5, 6))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_blur_draws_nothing() -> None:
    generator = _generator(5)

    first, other = blur(_images(), MEAN, 3, generator), blur(_images(), MEAN, 3, _generator(6))

    assert torch.equal(first, other)
    assert torch.equal(generator.get_state(), _generator(5).get_state())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_the_other_images_show_is_of_no_account(name: str) -> None:
    images = _images(16, 3, 32)
    others = torch.cat([images[:1], images[1:].flip(0)])

    first, again = (CORRUPTIONS[name](batch, MEAN, 3, _generator()) for batch in (images, others))

    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[1], again[1])


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [28, 32, 64])
def test_each_severity_does_more_damage_than_the_one_before(name: str, size: int) -> None:
    damages = [_damage(name, _digits(size), severity) for severity in SEVERITIES]

    assert damages[0] > 0
    assert all(less < more for less, more in pairwise(damages))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_on_8_pixels_too_each_severity_does_damage_and_the_strongest_does_most(name: str) -> None:
    damages = [_damage(name, _digits(8), severity) for severity in SEVERITIES]

    assert 0 < damages[0] < damages[4]
    # two severities of shift can be the same distance, in directions drawn alike
    assert damages == sorted(damages)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", [0, 6, -1])
def test_there_are_five_severities(name: str, severity: int) -> None:
    with pytest.raises(ValueError, match=rf"^severity must be 1 to 5, got {severity}$"):
        CORRUPTIONS[name](_images(), MEAN, severity, _generator())


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_is_normal_with_the_deviation_it_says_and_each_value_has_its_own(severity: int) -> None:
    grey = torch.full((50, 3, 32, 32), 128, dtype=torch.uint8)

    noise = (gaussian_noise(grey, MEAN, severity, _generator()).double() - 128) / 255

    std = NOISE_STD[severity - 1]
    assert float(noise.mean()) == pytest.approx(0, abs=4 * std / math.sqrt(noise.numel()))
    assert float(noise.std()) == pytest.approx(std, rel=0.01)
    assert float((noise.abs() < std).double().mean()) == pytest.approx(0.683, abs=0.03)
    # channels, neighbours and images are unrelated
    for one, other in [(noise[:, 0], noise[:, 1]), (noise[..., :-1], noise[..., 1:]), (noise[:-1], noise[1:])]:
        assert abs(float((one * other).mean())) < 0.02 * std**2


def test_noise_does_not_wrap_around_at_black_and_white() -> None:
    black, white = (torch.full((20, 1, 32, 32), value, dtype=torch.uint8) for value in (0, 255))

    on_black, on_white = (gaussian_noise(images, MEAN[:1], 5, _generator()) for images in (black, white))

    assert int(on_black.max()) < 150
    assert int(on_white.min()) > 105
    assert float((on_black == 0).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((on_white == 255).double().mean()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_the_mean_of_all_pixels_weighted_by_their_distance(severity: int) -> None:
    images = _images(2, 3, 5, 7)
    sigma = BLUR_SIGMA[severity - 1]

    blurred = blur(images, MEAN, severity, _generator())

    for row in range(5):
        for column in range(7):
            total, weights = torch.zeros(2, 3, dtype=torch.float64), 0.0
            for other_row in range(5):
                for other_column in range(7):
                    squared = (row - other_row) ** 2 + (column - other_column) ** 2
                    weight = math.exp(-squared / (2 * sigma**2))
                    total += weight * images[:, :, other_row, other_column]
                    weights += weight
            assert (blurred[:, :, row, column] - total / weights).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize(("size", "factor"), [(28, 1.0), (32, 1.0), (64, 2.0)])
def test_blur_grows_with_images_larger_than_32_pixels_and_shrinks_with_none(size: int, factor: float) -> None:
    image = _digits(size)[0, 0]

    blurred = blur(image[None, None], MEAN[:1], 4, _generator())[0, 0]

    expected = gaussian_filter(image.numpy().astype(np.float64), sigma=0.8 * factor, truncate=8)
    inside = slice(8, -8)  # at the edge, scipy has another way
    assert np.abs(blurred.numpy().astype(float) - expected)[inside, inside].max() <= 0.5 + 1e-3


@pytest.mark.parametrize("value", [0, 77, 255])
def test_blur_leaves_an_even_image_as_it_is(value: int) -> None:
    even = torch.full((2, 3, 32, 32), value, dtype=torch.uint8)

    assert torch.equal(blur(even, MEAN, 5, _generator()), even)


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (8, 8, (2, 3, 4, 5, 6)),
        (28, 28, (7, 11, 14, 18, 21)),
        (32, 32, (8, 12, 16, 20, 24)),
        (16, 40, (4, 6, 8, 10, 12)),
        (40, 16, (4, 6, 8, 10, 12)),
    ],
)
def test_occlusion_covers_one_whole_square_with_the_mean_colour(
    height: int, width: int, sides: tuple[int, ...]
) -> None:
    images = _images(100, 3, height, width)
    for severity, side in zip(SEVERITIES, sides, strict=True):
        damaged = occlusion(images, MEAN, severity, _generator())

        covered = (damaged == MEAN[:, None, None]).all(1)
        corners = set()
        for mask in covered:
            rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
            assert int(mask.sum()) == side * side
            assert len(rows) == len(columns) == int(rows[-1] - rows[0]) + 1 == side
            corners.add((int(rows[0]), int(columns[0])))
        assert torch.equal(torch.where(covered[:, None], images, damaged), images)
        assert {row for row, _ in corners} >= {0, height - side}
        assert len(corners) > 7


@pytest.mark.parametrize(
    ("height", "width", "distances"),
    [
        (8, 8, ((1, 1), (1, 1), (2, 2), (2, 2), (3, 3))),
        (28, 28, ((2, 2), (4, 4), (6, 6), (7, 7), (9, 9))),
        (32, 32, ((2, 2), (4, 4), (6, 6), (8, 8), (10, 10))),
        (16, 40, ((1, 3), (2, 5), (3, 8), (4, 10), (5, 13))),
    ],
)
def test_shift_moves_each_image_towards_one_of_its_corners_and_fills_with_black(
    height: int, width: int, distances: tuple[tuple[int, int], ...]
) -> None:
    images = _images(60, 3, height, width)
    for severity, (down, right) in zip(SEVERITIES, distances, strict=True):
        damaged = shift(images, MEAN, severity, _generator())

        seen: list[tuple[int, int]] = []
        for image, moved in zip(images, damaged, strict=True):
            (move,) = [
                (rows, columns)
                for rows in (-down, down)
                for columns in (-right, right)
                if torch.equal(moved, _moved(image, rows, columns))
            ]
            seen.append(move)
        assert all(seen.count((rows, columns)) > 4 for rows in (-down, down) for columns in (-right, right))


def _moved(image: Tensor, down: int, right: int) -> Tensor:
    """An image [C, H, W] moved: rolled round, then what came in at the other side blackened."""
    moved = image.roll((down, right), (1, 2))
    moved[:, slice(0, down) if down > 0 else slice(down, None)] = 0
    moved[:, :, slice(0, right) if right > 0 else slice(right, None)] = 0
    return moved


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("sizes", [(16, 16, 16, 2), (5, 30, 15), (1,) * 50, (33, 17)])
def test_an_image_is_damaged_alike_whichever_batch_it_is_in(name: str, sizes: tuple[int, ...]) -> None:
    images = _images(50)
    options = {"corruption": name, "mean": MEAN, "severity": 3, "seed": 7}
    whole = damaged(images, 0, **options)

    pieces = zip(images.split(list(sizes)), accumulate(sizes, initial=0), strict=False)

    assert torch.equal(torch.cat([damaged(piece, first, **options) for piece, first in pieces]), whole)
    assert not torch.equal(whole, images)


@pytest.mark.parametrize("name", ["gaussian_noise", "occlusion", "shift"])
def test_chance_differs_from_image_to_image_and_from_job_to_job(name: str) -> None:
    same = _images(1).expand(40, -1, -1, -1)

    first, other = (damaged(same, 0, corruption=name, mean=MEAN, severity=3, seed=seed) for seed in (7, 8))

    assert not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) > 3
    assert not torch.equal(first[:16], first[16:32])
