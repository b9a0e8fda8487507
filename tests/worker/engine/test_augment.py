"""Augmentations move whole pixels, by as much as they say, and are decided by their generator alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engine.data.augment import AUGMENTATIONS, crop_flip, cutout, flip, shift

MEAN = torch.tensor([100, 101, 102], dtype=torch.uint8)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(count: int = 64, channels: int = 3, size: int = 12) -> Tensor:
    """Every value between 110 and 249: none is black or the mean colour."""
    return torch.randint(110, 250, (count, channels, size, size), dtype=torch.uint8, generator=_generator(99))


def _moved(image: Tensor, margin: int, mode: str) -> dict[tuple[int, int], Tensor]:
    """Every move of an image [C, H, W] down and right by up to `margin` pixels: padded, then the window cut out."""
    height, width = image.shape[1:]
    padded = F.pad(image[None].float(), [margin] * 4, mode=mode)[0].to(torch.uint8)
    return {
        (down, right): padded[:, margin - down : margin - down + height, margin - right : margin - right + width]
        for down in range(-margin, margin + 1)
        for right in range(-margin, margin + 1)
    }


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32)])
def test_shape_and_type_stay_and_the_input_is_left_alone(name: str, channels: int, size: int) -> None:
    images = _images(8, channels, size)
    before = images.clone()

    varied = AUGMENTATIONS[name](images, MEAN[:channels], _generator())

    assert (varied.shape, varied.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_the_generator_decides_and_nothing_else_does(name: str) -> None:
    torch.manual_seed(1)
    first, again, other = (AUGMENTATIONS[name](_images(), MEAN, _generator(seed)) for seed in (5, 5, 6))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_none_changes_nothing() -> None:
    assert torch.equal(AUGMENTATIONS["none"](_images(), MEAN, _generator()), _images())


def test_shift_moves_each_image_by_up_to_2_pixels_and_fills_with_black() -> None:
    images = _images(200)

    varied = shift(images, MEAN, _generator())

    seen = set()
    for image, varied_image in zip(images, varied, strict=True):
        (move,) = [move for move, moved in _moved(image, 2, "constant").items() if torch.equal(varied_image, moved)]
        seen.add(move)
    assert seen == set(_moved(images[0], 2, "constant"))


def test_flip_mirrors_about_half_of_the_images_left_to_right() -> None:
    images = _images(400)

    varied = flip(images, MEAN, _generator())

    mirrored = [torch.equal(now, image.flip(2)) for image, now in zip(images, varied, strict=True)]
    left = [torch.equal(now, image) for image, now in zip(images, varied, strict=True)]
    assert all(a != b for a, b in zip(mirrored, left, strict=True))
    assert 150 < sum(mirrored) < 250


def test_crop_flip_moves_by_up_to_4_pixels_and_fills_with_the_reflection() -> None:
    images = _images(100)

    varied = crop_flip(images, MEAN, _generator())

    seen = set()
    for image, varied_image in zip(images, varied, strict=True):
        (move,) = [
            (*move, mirrored)
            for move, moved in _moved(image, 4, "reflect").items()
            for mirrored in (False, True)
            if torch.equal(varied_image, moved.flip(2) if mirrored else moved)
        ]
        seen.add(move)
    assert {abs(down) for down, _, _ in seen} == {abs(right) for _, right, _ in seen} == {0, 1, 2, 3, 4}
    assert {mirrored for _, _, mirrored in seen} == {False, True}


@pytest.mark.parametrize(("size", "side"), [(32, 8), (28, 8), (12, 6), (8, 4)])
def test_cutout_fills_one_whole_square_with_the_mean_colour(size: int, side: int) -> None:
    varied = cutout(_images(100, 3, size), MEAN, _generator())

    cut = (varied == MEAN[None, :, None, None]).all(1)
    corners = set()
    for mask in cut:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert int(mask.sum()) == side * side
        assert len(rows) == len(columns) == int(rows[-1] - rows[0]) + 1 == side
        corners.add((int(rows[0]), int(columns[0])))
    assert len(corners) > 10
