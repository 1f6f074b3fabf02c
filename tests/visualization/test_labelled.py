"""Labelled overlays: the photo stays in place, labels lie in their regions, names cannot harm."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.errors import DataError
from picie.types import IGNORED
from picie.visualization.labelled import labelled_overlay, write_labels
from picie.visualization.masks import overlay
from picie.visualization.palette import palette

Changed = NDArray[np.bool_]


def halves(height: int = 120, width: int = 320) -> NDArray[np.int64]:
    mask = np.zeros((height, width), np.int64)
    mask[:, width // 2 :] = 1
    return mask


def written(mask: NDArray[np.int64], names: list[str], size: int = 12) -> Changed:
    """The pixels that labels change on a grey picture."""
    picture = Image.new("RGB", mask.shape[::-1], (128, 128, 128))
    write_labels(picture, mask, names, size)
    changed: Changed = (np.asarray(picture) != 128).any(-1)
    return changed


def test_the_upper_part_is_the_overlay_but_for_labels() -> None:
    mask, colours = halves(), palette(2)
    photo = np.random.default_rng(0).integers(0, 256, (*mask.shape, 3)).astype(np.uint8)
    whole = labelled_overlay(photo, mask, colours, ["", "sea"])
    assert whole.width == 320
    assert whole.height > 120
    pixels, plain = np.asarray(whole), overlay(photo, mask, colours)
    different = (pixels[:120] != plain).any(-1)
    assert 0 < different.mean() < 0.05
    below = pixels[120:]
    for colour in colours:
        assert (below == colour).all(-1).sum() == 12 * 12  # its swatch


def test_a_label_lies_in_the_middle_of_its_region() -> None:
    changed = written(halves(), ["", ""])
    for half in (changed[:, :160], changed[:, 160:]):
        rows, columns = half.nonzero()
        assert abs(columns.mean() - 80) < 22  # any point of the middle line is as far from edges
        assert abs(rows.mean() - 60) < 2


def test_a_ring_has_its_label_on_the_ring() -> None:
    rows, columns = np.indices((300, 300)) - 150
    far = np.hypot(rows, columns)
    changed = written(((far > 60) & (far < 140)).astype(np.int64), ["", ""])
    ring = changed & (far > 60) & (far < 140)
    assert ring.any()
    assert not (changed & (far < 60)).any() or (changed & (far < 60)).sum() > 20


def test_a_name_that_does_not_fit_becomes_a_number_and_small_regions_have_none() -> None:
    mask = halves(60, 60)
    number = written(mask, ["", ""])
    assert np.array_equal(written(mask, ["a very long name", "x" * 70_000]), number)
    assert number.any()
    assert not np.array_equal(written(mask, ["a", ""]), number)
    assert not written(np.arange(100).repeat(100).reshape(100, 100), [""] * 100).any()  # lines
    dots = np.zeros((200, 200), np.int64)
    dots[10:20, 10:20] = 1  # 0.25 %
    assert not written(dots, ["", ""])[5:30, 5:30].any()


def test_ignored_pixels_have_no_label_and_count_for_shares() -> None:
    mask = np.full((50, 80), IGNORED)
    assert not written(mask, [""]).any()
    photo = np.zeros((50, 80, 3), np.uint8)
    assert labelled_overlay(photo, mask, palette(1), [""]).height > 50


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (4000, 2), (40, 3000)])
@pytest.mark.parametrize("name", ["", "日本", "a\nb", "سماء"])
def test_any_size_and_name(shape: tuple[int, int], name: str) -> None:
    photo, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.int64)
    whole = labelled_overlay(photo, mask, palette(1), [name])
    assert whole.width >= shape[1]
    assert whole.height > shape[0]


def test_a_small_photo_has_a_legend_as_wide_as_its_names_within_reason() -> None:
    photo, mask = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.int64)
    widths = [
        labelled_overlay(photo, mask, palette(1), [name]).width
        for name in ("sea", "a name of thirty-one characters", "x" * 500)
    ]
    assert widths[0] < widths[1] < widths[2] == 36 * 11 + 10


def test_photo_and_mask_must_match() -> None:
    with pytest.raises(DataError, match="does not match a mask"):
        labelled_overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), int), palette(1), [""])
