"""Estimates and intervals of a two-stage sample, against plain loops and scipy."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from picie.metrics.stratified import Sample, accuracy_of, precisions_of, strata_in_order


def sample(
    pixels: Any, images: list[int], strata: list[int], right: list[bool], fraction: float = 1.0
) -> Sample:
    return Sample(
        np.array(pixels), fraction, np.array(images, np.int64), np.array(strata, np.int64),
        np.array(right, np.bool_),
    )  # fmt: skip


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (3, 10), (40, 50), (12, 12)])
def test_one_class_in_all_images_has_wilsons_interval(hits: int, count: int) -> None:
    right = [number < hits for number in range(count)]
    found = sample([[50], [60]], [0] * count, [0] * count, right)
    interval = binomtest(hits, count).proportion_ci(0.95, "wilson")
    for one, tolerance in ((precisions_of(found)[0], 1e-6), (accuracy_of(found), 0.2)):
        assert one.value == pytest.approx(100 * hits / count)
        assert one.low == pytest.approx(100 * interval.low, abs=tolerance)
        assert one.high == pytest.approx(100 * interval.high, abs=tolerance)
        assert one.checks == count


def test_classes_count_by_their_share() -> None:
    found = sample([[90, 10], [60, 40]], [0, 1, 0, 1], [0, 0, 1, 1], [True, True, True, False])
    assert accuracy_of(found).value == pytest.approx(100 * (0.75 + 0.25 * 0.5))
    assert [one.value for one in precisions_of(found)] == pytest.approx([100, 50])


def test_a_class_without_checks_is_as_good_as_the_others_and_widens_the_interval() -> None:
    right = [True] * 15 + [False] * 5
    known = sample([[80]], [0] * 20, [0] * 20, right)
    more = sample([[80, 20]], [0] * 20, [0] * 20, right)
    assert accuracy_of(more).value == pytest.approx(75)
    assert accuracy_of(more).low < accuracy_of(known).low
    assert accuracy_of(more).high > accuracy_of(known).high
    unknown = precisions_of(more)[1]
    assert np.isnan(unknown.value)
    assert (unknown.low, unknown.high, unknown.checks) == (0, 100, 0)
    assert unknown.to_json() == {"value": None, "interval": [0, 100], "checks": 0}


def test_without_checks_nothing_is_known() -> None:
    nothing = accuracy_of(sample([[5, 5]], [], [], []))
    assert (nothing.low, nothing.high, nothing.checks) == (0, 100, 0)
    json.dumps(nothing.to_json(), allow_nan=False)


def test_images_that_differ_widen_the_interval_unless_all_of_them_are_known() -> None:
    """In half of the images everything is right, in the others nothing."""
    images = [number % 20 for number in range(60)]
    right = [number < 10 for number in images]
    few, whole = (
        sample([[100]] * 20, images, [0] * 60, right, fraction) for fraction in (0.01, 1.0)
    )
    known, unknown = accuracy_of(whole), accuracy_of(few)
    alike = binomtest(30, 60).proportion_ci(0.95, "wilson")
    assert known.high - known.low == pytest.approx(100 * (alike.high - alike.low), rel=0.01)
    assert unknown.high - unknown.low > 1.5 * (known.high - known.low)
    assert precisions_of(few)[0].low < precisions_of(whole)[0].low


def test_one_image_of_many_says_little() -> None:
    found = accuracy_of(sample([[100]], [0] * 50, [0] * 50, [True, False] * 25, 0.001))
    assert found.high - found.low > 70


def test_the_variance_is_that_of_a_plain_loop() -> None:
    """Linearisation of sum_h W_h p_h with images as clusters."""
    draws = np.random.default_rng(0)
    pixels = draws.integers(1, 50, (12, 3))
    images, strata = draws.integers(12, size=40), draws.integers(3, size=40)
    right = draws.random(40) < 0.1 + 0.08 * images
    share = pixels.sum(0) / pixels.sum()
    counts = np.bincount(strata, minlength=3)
    good = np.array([right[strata == h].mean() for h in range(3)])
    accuracy = float(share @ good)
    parts = []
    for image in range(12):
        part = sum(pixels[image, h] * (good[h] - accuracy) for h in range(3)) / pixels.sum()
        for i, h, y in zip(images, strata, right, strict=True):
            part += (i == image) * share[h] / counts[h] * (float(y) - good[h])
        parts.append(part)
    over = 12 / 11 * float(np.square(np.array(parts) - np.mean(parts)).sum())
    smooth = (good * counts + accuracy) / (counts + 1)
    within = float((share**2 / counts * smooth * (1 - smooth)).sum())
    rare = min(right.sum(), (~right).sum())
    gain = rare / (2 * rare + 10)
    inverse = (1 - gain) * float((share**2 / counts).sum())
    inverse += (gain * within + 0.75 * (over - within)) / (accuracy * (1 - accuracy))
    assert over > within
    found = accuracy_of(Sample(pixels, 0.25, images, strata, right))
    # The two ends of Wilson's interval solve (p - a)^2 = z^2 p (1 - p) / n.
    for end in (found.low / 100, found.high / 100):
        assert (end - accuracy) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) * inverse)


def test_the_order_of_images_and_classes_does_not_matter() -> None:
    draws = np.random.default_rng(1)
    pixels = draws.integers(0, 9, (6, 4)) + 1
    images, strata = draws.integers(6, size=30), draws.integers(4, size=30)
    right = draws.random(30) < 0.6
    found = Sample(pixels, 0.5, images, strata, right)
    rows, columns = draws.permutation(6), draws.permutation(4)
    other = Sample(
        pixels[rows][:, columns], 0.5, np.argsort(rows)[images], np.argsort(columns)[strata], right
    )
    assert np.allclose(_numbers(accuracy_of(found)), _numbers(accuracy_of(other)))
    moved = precisions_of(other)
    for place, column in enumerate(columns.tolist()):
        assert np.allclose(_numbers(precisions_of(found)[column]), _numbers(moved[place]))


def _numbers(one: Any) -> list[float]:
    return [one.value, one.low, one.high]


def test_each_class_is_checked_once_before_others_again() -> None:
    order = strata_in_order(np.array([5, 1000, 0, 300]), 20).tolist()
    assert order[:3] == [1, 3, 0]
    assert 2 not in order
    counts = np.bincount(order)
    assert counts[1] > counts[3] > counts[0] >= 1
    # 1000 to 300 is 3.3 to 1; the power of 3/4 makes it 2.5 to 1
    assert counts[1] / counts[3] == pytest.approx(2.5, abs=0.4)


def test_more_checks_begin_like_fewer() -> None:
    pixels = np.array([7, 900, 40, 300, 11])
    longest = strata_in_order(pixels, 200)
    for checks in (1, 3, 5, 50, 199):
        assert (strata_in_order(pixels, checks) == longest[:checks]).all()


def test_there_are_never_more_checks_than_pixels() -> None:
    order = strata_in_order(np.array([2, 3]), 100)
    assert np.bincount(order).tolist() == [2, 3]


def test_intervals_hold_the_truth_19_times_in_20() -> None:
    """Images that differ, in a folder of which the sample is a small part."""
    draws = np.random.default_rng(2)
    pixels = draws.integers(1, 100, (400, 3))
    chance = (draws.beta(3, 1, 400)[:, None] * np.array([1.0, 0.9, 0.5])).clip(0, 1)
    truth = 100 * float((pixels * chance).sum() / pixels.sum())
    hits = [_holds(draws, pixels, chance, truth) for _ in range(1000)]
    assert 0.93 <= np.mean(hits) <= 0.98


def _holds(
    draws: np.random.Generator, pixels: NDArray[Any], chance: NDArray[Any], truth: float
) -> bool:
    images = draws.permutation(400)[:80]
    part = pixels[images]
    strata = strata_in_order(part.sum(0), 100)
    place = np.array([draws.choice(80, p=part[:, h] / part[:, h].sum()) for h in strata])
    right = draws.random(100) < chance[images][place, strata]
    found = accuracy_of(Sample(part, 0.2, place, strata, right))
    return found.low <= truth <= found.high
