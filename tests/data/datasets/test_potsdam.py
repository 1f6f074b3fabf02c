from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.potsdam import POTSDAM3, POTSDAM6
from picie.data.folder import PhotoFolder
from picie.errors import DataError

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]
Truths = Callable[[PhotoFolder], dict[str, list[int]]]

# white, blue, cyan, green, yellow, red, black
COLOURS = [[255] * 3, [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0], [0] * 3]


@pytest.fixture
def patches(put: Put, tmp_path: Path) -> None:
    put("images/1.png", np.zeros((1, 7, 3)))
    put("masks/1.png", np.array([COLOURS]))
    put("images/2.png", np.zeros((1, 7, 3)))
    put("masks/2.png", np.array([[0, 1, 2, 3, 4, 5, 255]]))
    (tmp_path / "labelled_test.txt").write_text("2\n")


@pytest.mark.usefixtures("patches")
def test_colours_and_ids_are_read_alike(opened: Opened, truths: Truths) -> None:
    six = [0, 1, 2, 3, 4, 5, 255]
    assert truths(opened("potsdam6")) == {"1": six, "2": six}
    assert list(truths(opened("potsdam6", "labelled_test"))) == ["2"]


@pytest.mark.usefixtures("patches")
def test_the_pairs_of_iic(opened: Opened) -> None:
    folder = opened("potsdam3")
    for photo in folder.photos:
        mask = folder.truth(photo, image_size=(7, 1))
        assert mask[0].tolist() == [0, 1, 2, 2, 0, 1, 255]


def test_tiles_as_published(put: Put, opened: Opened, truths: Truths) -> None:
    train = POTSDAM6.layouts[0].parts["train"].stems
    test = POTSDAM6.layouts[0].parts["test"].stems
    assert (len(train), len(test), len({*train, *test})) == (24, 14, 38)
    for stem in test:
        put(f"2_Ortho_RGB/{stem}_RGB.tif", np.zeros((1, 7, 3)))
        put(f"5_Labels_all/{stem}_label.tif", np.array([COLOURS]))
    found = truths(opened("potsdam3", "test"))
    assert list(found) == sorted(f"2_Ortho_RGB/{stem}" for stem in test)
    assert list(found.values()) == [[0, 1, 2, 255]] * 14
    with pytest.raises(DataError, match=r"2_Ortho_RGB: 24 of 38 images are not in .*2_10"):
        opened("potsdam3", "all")


def test_palettes_are_the_official_colours() -> None:
    assert [list(colour) for colour in POTSDAM6.palette] == COLOURS[:6]
    assert [list(colour) for colour in POTSDAM3.palette] == COLOURS[:3]
