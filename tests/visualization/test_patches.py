"""Pieces of photos: the right place, the outline, the mark."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.visualization.thumbnails import PATCH_SIDE, cut_patch

LIMIT = 100_000
MIDDLE = (0.5, 0.5)


def patch(
    image: NDArray[np.uint8], belongs: NDArray[np.bool_], centre: tuple[float, float] = MIDDLE
) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(cut_patch(image, belongs, centre, LIMIT))))


def test_it_shows_a_third_around_the_pixel() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[100:200, 250:350] = (200, 0, 0)
    found = patch(image, np.ones((30, 60), bool))
    assert found.shape == (PATCH_SIDE, PATCH_SIDE, 3)
    outside = np.ones((PATCH_SIDE, PATCH_SIDE), bool)
    outside[48:64, 48:64] = False  # the mark
    assert (found[..., 0][outside] > 150).all()


@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_at_a_corner_it_is_moved_inwards(centre: tuple[float, float]) -> None:
    image = np.full((90, 60, 3), 120, np.uint8)
    found = patch(image, np.zeros((9, 6), bool), centre)
    row, column = (round(share * (PATCH_SIDE - 1)) for share in centre)
    corner = found[max(row - 7, 0) : row + 8, max(column - 7, 0) : column + 8]
    assert corner.max() > 230  # part of the ring
    assert abs(int(np.median(found)) - 120) < 6


def test_a_white_line_follows_the_border() -> None:
    image = np.full((90, 90, 3), 60, np.uint8)
    belongs = np.zeros((90, 90), bool)
    belongs[:, :40] = True
    found = patch(image, belongs)[5]  # a row above the mark
    line = np.flatnonzero(found[:, 0] > 150)
    border = (40 - 30) / 30 * PATCH_SIDE
    assert len(line)
    assert abs(line.mean() - border) < 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (2, 3)])
def test_tiny_and_thin_photos(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    assert patch(image, np.ones((4, 4), bool)).shape == (PATCH_SIDE, PATCH_SIDE, 3)
