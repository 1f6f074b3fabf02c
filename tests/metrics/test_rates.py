"""Per cent, and where there is none."""

import numpy as np
import pytest

from picie.metrics.confusion import iou, mean, percent


def test_percent_of_nothing_is_undefined() -> None:
    np.testing.assert_equal(percent(np.array([1, 0]), np.array([4, 0])), [25.0, np.nan])


def test_iou_by_hand() -> None:
    hits, rows, columns = np.array([3, 0, 0]), np.array([4, 2, 0]), np.array([6, 0, 5])
    np.testing.assert_allclose(iou(hits, rows, columns), [300 / 7, 0.0, np.nan])
    assert iou(hits * 0, rows * 0, columns * 0, true=rows).tolist()[:2] == [0, 0]


def test_iou_works_on_many_sets_at_once() -> None:
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 5, (3, 4))
    rows, columns = hits + rng.integers(0, 3, (3, 4)), hits + rng.integers(0, 3, (3, 4))
    together = iou(hits, rows, columns)
    for number in range(3):
        np.testing.assert_array_equal(
            together[number], iou(hits[number], rows[number], columns[number])
        )


def test_mean_leaves_out_what_is_undefined() -> None:
    assert mean(np.array([1.0, np.nan, 4.0])) == pytest.approx(2.5)
    assert mean(np.array([np.nan])) is None
