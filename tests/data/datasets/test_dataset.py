"""The colour map of VOC, and which trees a layout fits."""

from pathlib import Path

import numpy as np

from picie.data.datasets.dataset import Layout, Part, class_map, voc_colours


def slow_colours(count: int) -> list[tuple[int, int, int]]:
    """The loop of the VOC development kit."""
    found = []
    for number in range(count):
        colour, rest = [0, 0, 0], number
        for shift in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << shift
            rest >>= 3
        found.append((colour[0], colour[1], colour[2]))
    return found


def test_colours_of_voc() -> None:
    assert list(voc_colours(256)) == slow_colours(256)
    assert voc_colours(21)[15] == (192, 128, 128)  # person
    assert len(np.unique(voc_colours(256), axis=0)) == 256


def test_ids_that_are_no_class() -> None:
    assert class_map(3, {0: 1}, other=255) == (1, 255, 255)


def test_a_layout_fits_where_any_of_its_image_folders_is(tmp_path: Path) -> None:
    own, split = Layout(""), Layout("", {"a": Part("x/a", "y"), "b": Part("x/b", "y")})
    assert not own.fits(tmp_path)
    assert not split.fits(tmp_path)
    (tmp_path / "x" / "b").mkdir(parents=True)
    assert split.fits(tmp_path)
    (tmp_path / "images").mkdir()
    assert own.fits(tmp_path)
