"""Regions: numbered by id, and small ones given to the classes around them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from picie.errors import ConfigError
from picie.postprocessing.regions import boxes_of, check_area, fill_small_regions, label_regions
from picie.types import IGNORED


def noise(seed: int, shape: tuple[int, int] = (40, 50)) -> NDArray[np.int64]:
    """Four classes and ignored pixels in regions of all sizes."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), 1.2)
    mask = np.digitize(smooth, np.quantile(smooth, [0.2, 0.4, 0.6, 0.8])) - 1
    return mask.astype(np.int64)


def sizes(mask: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(label_regions(mask)[0].ravel())[1:]


def test_boxes_and_numbers() -> None:
    mask = np.full((6, 8), IGNORED)
    mask[1:4, 2:7] = 0
    mask[5, :2] = mask[5, 5] = 2
    assert boxes_of(mask) == [(slice(1, 4), slice(2, 7)), None, (slice(5, 6), slice(0, 6))]
    labels, owners = label_regions(mask)
    assert owners == [0, 2, 2]
    assert np.array_equal(labels > 0, mask >= 0)
    assert (labels[1, 2], labels[5, 0], labels[5, 5]) == (1, 2, 3)


def test_a_small_region_takes_the_class_of_its_longest_boundary() -> None:
    mask = np.array([[0, 0, 0, 1, 1], [0, 2, 0, 1, 1], [0, 2, 1, 1, 1], [0, 1, 1, 1, 1]])
    expected = np.where(mask == 2, 0, mask)
    assert np.array_equal(fill_small_regions(mask, 3), expected)
    assert np.array_equal(fill_small_regions(mask, 2), mask)


def test_the_lowest_of_several_classes() -> None:
    mask = np.repeat([[3, 3, 0, 1, 1]], 3, 0)
    mask[[0, 2], 2] = 1, 3
    filled = fill_small_regions(mask, 2)
    assert filled[1].tolist() == [3, 3, 1, 1, 1]


def test_small_regions_in_small_regions() -> None:
    mask = np.zeros((9, 9), np.int64)
    mask[2:7, 2:7] = 1
    mask[3:6, 3:6] = 2
    mask[4, 4] = 3
    assert not fill_small_regions(mask, 20).any()
    assert np.array_equal(fill_small_regions(mask, 2), np.where(mask == 3, 2, mask))


def test_ignored_pixels_stay_and_win_only_where_nothing_else_is() -> None:
    mask = np.full((5, 9), IGNORED)
    mask[:, 4:] = 1
    mask[2, 1] = 0
    mask[2, 3] = 0  # beside the ones, and three ignored pixels
    expected = mask.copy()
    expected[2, 1], expected[2, 3] = IGNORED, 1
    assert np.array_equal(fill_small_regions(mask, 4), expected)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 7)])
def test_the_largest_is_kept_if_all_are_small(shape: tuple[int, int]) -> None:
    mask = np.arange(np.prod(shape)).reshape(shape)
    filled = fill_small_regions(mask, 1000)
    assert (filled == 0).all()
    void = np.full(shape, IGNORED)
    assert np.array_equal(fill_small_regions(void, 1000), void)


@pytest.mark.parametrize("smallest", [0, 1, 2, 7, 30, 200])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_laws(seed: int, smallest: int) -> None:
    mask = noise(seed)
    filled = fill_small_regions(mask, smallest)
    assert sizes(filled).min() >= smallest
    assert np.array_equal(fill_small_regions(filled, smallest), filled)
    assert (filled[mask == IGNORED] == IGNORED).all()
    large = np.isin(label_regions(mask)[0], np.flatnonzero(sizes(mask) >= smallest) + 1)
    assert np.array_equal(filled[large], mask[large])
    if smallest <= 1:
        assert np.array_equal(filled, mask)


def test_an_area_below_zero() -> None:
    check_area("--min-region", 0)
    with pytest.raises(ConfigError, match="--min-region -3: give 0 or more pixels"):
        check_area("--min-region", -3)
