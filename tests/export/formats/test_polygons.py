"""Outlines: their areas, holes and corners are those of the pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from picie.export.formats.polygons import area, one_ring, regions, simplified


def drawn(ring: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre is inside a ring, by counting crossings to the left of it."""
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        for row in range(shape[0]):
            low, high = sorted((y0, y1))
            if low <= row + 0.5 < high:
                crossing = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
                inside[row] ^= np.arange(shape[1]) + 0.5 > crossing
    return inside


@pytest.mark.parametrize("seed", range(6))
def test_regions_cover_the_mask_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.integers(-1, 3, (14, 17))
    found = np.full(mask.shape, -1)
    counts = dict.fromkeys(range(3), 0)
    for region in regions(mask):
        assert area(region.rings[0]) > 0
        assert all(area(ring) < 0 for ring in region.rings[1:])
        joined = one_ring(region.rings)
        assert area(joined) == 2 * region.pixels
        inside = drawn(joined, mask.shape)
        assert inside.sum() == region.pixels
        assert (found[inside] == -1).all()
        found[inside] = region.id
        counts[region.id] += 1
    assert np.array_equal(found, mask)
    assert counts == {number: ndimage.label(mask == number)[1] for number in range(3)}


def test_a_rectangle_has_four_corners_clockwise() -> None:
    mask = np.full((6, 8), -1)
    mask[1:4, 2:7] = 0
    [region] = regions(mask)
    [ring] = region.rings
    start = ring.tolist().index([2, 1])
    assert np.roll(ring, -start, axis=0).tolist() == [[2, 1], [7, 1], [7, 4], [2, 4]]
    assert region.pixels == 15


def test_pixels_that_touch_at_a_corner_are_two_regions() -> None:
    mask = np.array([[0, -1], [-1, 0]])
    assert [region.pixels for region in regions(mask)] == [1, 1]


def test_a_hole_through_which_a_region_touches_itself() -> None:
    mask = np.zeros((4, 4), np.int64)
    mask[1, 1] = mask[2, 2] = -1
    [region] = regions(mask)
    assert region.pixels == 14
    assert np.array_equal(drawn(one_ring(region.rings), mask.shape), mask == 0)


def test_nothing_but_ignored_pixels() -> None:
    assert list(regions(np.full((3, 3), -1))) == []


def test_simplified_rings_stay_within_the_tolerance() -> None:
    y, x = np.mgrid[:60, :60]
    mask = np.where((x - 30) ** 2 + (y - 30) ** 2 < 25**2, 0, -1)
    mask[28:32, 28:32] = -1
    [region] = regions(mask)
    assert simplified(region.rings, 0) == region.rings
    found = simplified(region.rings, 1.0)
    assert len(found[0]) < len(region.rings[0]) / 3
    assert abs(area(one_ring(found)) / 2 - region.pixels) < len(region.rings[0])
    for ring, before in zip(found, region.rings, strict=True):
        assert {tuple(point) for point in ring} <= {tuple(point) for point in before}


def test_a_ring_that_would_become_a_line_stays() -> None:
    mask = np.full((3, 9), -1)
    mask[1, 1:8] = 0
    [region] = regions(mask)
    assert area(simplified(region.rings, 5.0)[0]) == 14
