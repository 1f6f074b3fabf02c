"""Deep values as bytes: one stretch for a set of images."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.reading import Sample, choose, outside, to_bytes

SCENE = np.clip(np.random.default_rng(0).normal(0.5, 0.2, (200, 300)), 0, 1)
HOLES = np.random.default_rng(1).random(SCENE.shape) < 0.2
RARE = np.random.default_rng(2).permutation(SCENE.size).reshape(SCENE.shape) < 3


def sample(values: NDArray[Any], bits: int = 0) -> Sample:
    flat = values.ravel().astype(np.float64)
    return Sample("a", values.dtype.name, flat[np.isfinite(flat)], bits)


@pytest.mark.parametrize(
    ("values", "top", "kind"),
    [
        ((SCENE * 255).astype(np.uint16), 255, "8-bit"),
        ((SCENE * 1023).astype(np.uint16), 1023, "10-bit"),
        ((SCENE * 4095).astype(np.uint16), 4095, "12-bit"),
        ((SCENE * 16383).astype(np.uint16), 16383, "14-bit"),
        ((SCENE * 65535).astype(np.uint16), 65535, "16-bit"),
        ((SCENE * 4095).astype(np.int16), 4095, "12-bit"),
        ((SCENE * 3000).astype(np.int32), 4095, "12-bit"),
        ((SCENE * 65535).astype(np.uint32), 65535, "16-bit"),
        (np.rint(SCENE * 255).astype(np.float32), 255, "8-bit"),
        (np.where(RARE, 65535, SCENE * 4095).astype(np.uint16), 4095, "12-bit"),  # hot pixels
        (np.where(SCENE > 0.5, 65535, 0).astype(np.uint16), 65535, "16-bit"),
    ],
)
def test_counts_have_the_smallest_depth_that_holds_them(
    values: NDArray[Any], top: int, kind: str
) -> None:
    choice = choose([sample(values)])
    assert (choice.stretch, choice.kind, choice.reason) == ((0, top), kind, "")


def test_a_declared_depth_counts() -> None:
    dark = (SCENE * 1000).astype(np.uint16)
    assert choose([sample(dark)]).stretch == (0, 1023)
    assert choose([sample((SCENE * 3000).astype(np.uint16), bits=12)]).stretch == (0.0, 4095.0)
    assert choose([sample((SCENE * 250).astype(np.uint16), bits=10)]).stretch[1] < 256


@pytest.mark.parametrize("scale", [1, 255])
def test_fractions_and_levels_keep_their_range(scale: int) -> None:
    values = (SCENE * scale).astype(np.float32)
    values[0, :5] = (1.02 * scale, math.inf, -math.inf, math.nan, -0.01)
    assert choose([sample(values)]).stretch == (0, scale)


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (270, 320, "float32"),  # Kelvin
        (-20, 40, "float64"),  # Celsius
        (-30, 0, "float16"),  # decibels
        (-1, 1, "float32"),
        (0, 0.15, "float32"),
        (27000, 32000, "uint16"),  # centikelvin
        (0, 4e9, "uint32"),
        (-3000, 3000, "int16"),
        (-100, 100, "int8"),
    ],
)
def test_other_values_are_stretched_between_percentiles(low: float, high: float, kind: str) -> None:
    values = (low + SCENE * (high - low)).astype(kind)
    choice = choose([sample(values)])
    expected = np.percentile(values.astype(np.float64), (0.5, 99.5))
    assert choice.stretch == pytest.approx(tuple(expected))
    assert choice.kind == kind
    assert choice.reason == "0.5th to 99.5th percentile"
    levels = to_bytes(values, choice.stretch)
    assert np.corrcoef(levels.ravel(), SCENE.ravel())[0, 1] > 0.99
    assert (levels.min(), levels.max()) == (0, 255)


@pytest.mark.parametrize(
    ("kind", "fill", "low", "high"),
    [
        ("float32", -9999, 0, 3000),
        ("float32", -3.4e38, 250, 320),
        ("float32", 1e20, 250, 320),
        ("float64", -32768, -20, 40),
        ("float32", 0, 280, 310),
        ("int16", -9999, 0, 3000),
        ("int16", -32768, 0, 4000),
        ("uint16", 0, 27000, 31000),
        ("uint16", 65535, 0, 4095),
        ("int32", -2147483648, 0, 3000),
    ],
)
def test_values_that_stand_for_missing_data_do_not_count_and_are_black(
    kind: str, fill: float, low: float, high: float
) -> None:
    plain = (low + SCENE * (high - low)).astype(kind)
    filled = np.where(HOLES, np.array(fill, kind), plain)
    choice = choose([sample(filled)])
    assert choice.stretch == pytest.approx(choose([sample(plain[~HOLES])]).stretch, rel=1e-3)
    assert choice.fills == (float(np.array(fill, kind)),)
    assert (to_bytes(filled, choice.stretch)[HOLES] == 0).all()


def test_two_values_may_stand_for_missing_data() -> None:
    filled = np.where(HOLES, -9999, SCENE * 3000)
    filled[:20] = -32768
    assert choose([sample(filled.astype(np.int16))]).fills == (-32768, -9999)


def test_one_stretch_keeps_the_order_of_a_series() -> None:
    dark, bright = ((SCENE * top).astype(np.uint16) for top in (200, 4000))
    stretch = choose([sample(dark), sample(bright)]).stretch
    assert stretch == (0.0, 4095.0)
    assert to_bytes(dark, stretch).mean() < to_bytes(bright, stretch).mean() / 15


def test_the_more_frequent_kind_decides() -> None:
    floats, counts = sample(SCENE.astype(np.float32)), sample((SCENE * 4095).astype(np.uint16))
    assert choose([floats, counts, floats]).stretch == (0, 1)
    assert choose([floats, counts]).stretch == (0.0, 4095.0)
    assert outside(counts, (0, 1)) > 0.9
    assert outside(floats, (0, 4095)) == 1
    assert outside(counts, (0, 4095)) == 0
    assert outside(sample(np.full(9, math.nan)), (0, 1)) == 0


def test_images_of_one_value_or_none() -> None:
    assert choose([sample(np.full((4, 4), 7, np.int16))]).stretch == (7, 8)
    choice = choose([sample(np.full((4, 4), math.nan))])
    assert (choice.stretch, choice.reason) == ((0, 1), "no image has a finite value")


@pytest.mark.parametrize("kind", ["uint16", ">u2", "int16", "int8", "uint32", "int64", "float32"])
def test_levels_are_linear_and_clipped(kind: str) -> None:
    low = 0 if "u" in kind else -100
    values = np.array([low, low + 10, low + 60, 100, 120]).astype(kind)
    expected = np.clip(np.rint((values.astype(float) - low - 10) / 90 * 255), 0, 255)
    assert to_bytes(values, (low + 10, low + 100)).tolist() == expected.tolist()


def test_sixteen_bits_are_divided_by_257() -> None:
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_bytes(every, (0, 65535)), np.rint(every / 257))


def test_nodata_and_what_is_not_finite_are_black() -> None:
    values = np.array([5, 9, math.nan, math.inf, -math.inf], np.float32)
    assert to_bytes(values, (0, 10), 9).tolist() == [128, 0, 0, 0, 0]
    assert to_bytes(np.array([5, 9], np.uint16), (0, 10), 9).tolist() == [128, 0]


def test_saturated_pixels_are_white() -> None:
    values = np.linspace(0, 300, 1000).astype(np.float32)
    values[0] = 5000
    assert to_bytes(values, (0, 100))[0] == 255
    values = (28000 + SCENE * 3000).astype(np.uint16)
    values[HOLES] = 36000
    choice = choose([sample(values)])
    assert choice.fills == ()
    assert (to_bytes(values, choice.stretch)[HOLES] == 255).all()
    assert (to_bytes(values, (28000, 31000))[HOLES] == 255).all()
