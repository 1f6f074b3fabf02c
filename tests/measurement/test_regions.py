"""Measures of a mask, against plain loops."""

import math
import sys
from typing import Any

import numpy as np
import pytest

from picie.errors import MissingExtraError
from picie.measurement.regions import class_columns, region_columns

pytest.importorskip("skimage")


def drawn(seed: int) -> tuple[Any, Any, Any]:
    """A mask of three ids and void, its confidence, and an image."""
    draws = np.random.default_rng(seed)
    mask = draws.integers(-1, 3, (13, 17)).astype(np.int16)
    confidence = draws.integers(0, 256, mask.shape).astype(np.uint8)
    return mask, confidence, draws.integers(0, 256, (*mask.shape, 3)).astype(np.uint8)


def flooded(mask: Any) -> list[tuple[int, list[tuple[int, int]]]]:
    """Id and pixels of each region, by a plain search: by id, then from the top."""
    seen, found = set(), []
    for row, column in np.ndindex(mask.shape):
        if (row, column) in seen or mask[row, column] < 0:
            continue
        waiting, pixels = [(row, column)], []
        seen.add((row, column))
        while waiting:
            y, x = waiting.pop()
            pixels.append((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and near not in seen and mask[near] == mask[row, column]:
                    seen.add(near)
                    waiting.append(near)
        found.append((int(mask[row, column]), pixels))
    return sorted(found, key=lambda one: one[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_agree_with_plain_loops(seed: int) -> None:
    mask, confidence, _ = drawn(seed)
    columns = class_columns(mask, confidence, 4, side=0.5, unit="mm")
    assert columns["class_id"].tolist() == [0, 1, 2, 3, -1]
    regions = flooded(mask)
    for row, number in enumerate(columns["class_id"].tolist()):
        places = mask == number if number >= 0 else mask < 0
        assert columns["pixels"][row] == places.sum()
        assert columns["area_mm2"][row] == pytest.approx(places.sum() / 4)
        assert columns["regions"][row] == sum(owner == number for owner, _ in regions)
        if places.any():
            assert columns["confidence"][row] == pytest.approx(confidence[places].mean() / 255)
    assert math.isnan(columns["confidence"][3])  # no pixel has this id
    assert columns["share"].sum() == pytest.approx(1)


def test_only_a_mask_with_void_has_its_row() -> None:
    mask, confidence, _ = drawn(0)
    assert class_columns(np.abs(mask), confidence, 3)["class_id"].tolist() == [0, 1, 2]
    void = class_columns(np.full_like(mask, -1), confidence, 3)
    assert void["share"].tolist() == [0, 0, 0, 1]


def test_oblong_pixels_have_areas_but_no_perimeters() -> None:
    columns = region_columns(*drawn(0), side=2.0, unit="m", is_square=False)
    assert np.isnan(columns["perimeter_m"]).all()
    assert np.array_equal(columns["area_m2"], columns["pixels"] * 4.0)
    assert np.array_equal(columns["equivalent_diameter_m"], columns["equivalent_diameter_px"] * 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_regions_agree_with_plain_loops(seed: int) -> None:
    mask, confidence, image = drawn(seed)
    columns = region_columns(mask, confidence, image, side=2.0, unit="um")
    regions = flooded(mask)
    assert columns["region"].tolist() == list(range(1, len(regions) + 1))
    assert columns["class_id"].tolist() == [owner for owner, _ in regions]
    for row, (_, pixels) in enumerate(regions):
        ys, xs = (np.array(axis) for axis in zip(*pixels, strict=True))
        found = {name: values[row].item() for name, values in columns.items()}
        assert found["pixels"] == len(pixels)
        assert (found["left_px"], found["top_px"]) == (xs.min(), ys.min())
        assert found["width_px"] == xs.max() - xs.min() + 1
        assert found["height_px"] == ys.max() - ys.min() + 1
        assert found["x_px"] == pytest.approx(xs.mean())
        assert found["y_px"] == pytest.approx(ys.mean())
        assert [found["red"], found["green"], found["blue"]] == pytest.approx(
            image[ys, xs].mean(0).tolist()
        )
        assert found["confidence"] == pytest.approx(confidence[ys, xs].mean() / 255)
        assert found["on_border"] == (
            xs.min() == 0 or ys.min() == 0 or xs.max() == 16 or ys.max() == 12
        )
        assert found["equivalent_diameter_um"] == pytest.approx(
            2 * 2 * math.sqrt(len(pixels) / math.pi)
        )
        assert found["area_um2"] == 4 * len(pixels)


def test_regions_of_a_class_sum_to_the_class() -> None:
    mask, confidence, image = drawn(2)
    classes, regions = class_columns(mask, confidence, 3), region_columns(mask, confidence, image)
    sums = np.bincount(regions["class_id"], regions["pixels"])
    assert sums.tolist() == classes["pixels"][:3].tolist()
    counts = np.bincount(regions["class_id"])
    assert counts.tolist() == classes["regions"][:3].tolist()


def test_a_known_shape_has_its_perimeter_and_its_eccentricity() -> None:
    mask = np.zeros((40, 60), np.int16)
    mask[10:20, 10:30] = 1
    empty = np.zeros((40, 60, 3), np.uint8)
    columns = region_columns(mask, empty[..., 0], empty, side=0.1, unit="m")
    assert columns["perimeter_px"][1] == 2 * (9 + 19)  # through the middles of its border pixels
    assert columns["perimeter_m"][1] == pytest.approx(5.6)
    # The axes of an ellipse of the same second moments are in the ratio of the sides.
    assert columns["eccentricity"][1] == pytest.approx(math.sqrt(1 - (10 / 20) ** 2), abs=0.01)
    assert columns["on_border"].tolist() == [True, False]


def test_a_mask_of_void_has_no_regions() -> None:
    empty = np.zeros((5, 6, 3), np.uint8)
    columns = region_columns(np.full((5, 6), -1, np.int16), empty[..., 0], empty, unit="m")
    assert {len(values) for values in columns.values()} == {0}


def test_unknown_sizes_leave_real_units_empty() -> None:
    mask, confidence, image = drawn(0)
    assert np.isnan(class_columns(mask, confidence, 3, unit="m")["area_m2"]).all()
    assert np.isnan(region_columns(mask, confidence, image, unit="m")["perimeter_m"]).all()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(MissingExtraError, match=r'scikit-image: pip install "picie\[tables\]"'):
        region_columns(*drawn(0))
