import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.msrc import MSRC21, MSRC23
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]


def test_horse_and_mountain_are_void_in_msrc21(put: Put, opened: Opened) -> None:
    put("images/1_1.jpg", np.zeros((1, 24, 3)))
    put("masks/1_1.png", np.array([[*range(23), 255]]))
    for name, expected in (
        ("msrc23", [*range(23), 255]),
        ("msrc21", [0, 1, 2, 3, 255, 4, 5, 255, *range(6, 21), 255]),
    ):
        folder = opened(name)
        [photo] = folder.photos
        assert folder.truth(photo, image_size=(24, 1))[0].tolist() == expected


def test_names() -> None:
    assert set(MSRC23.classes) - set(MSRC21.classes) == {"horse", "mountain"}
    assert (MSRC21.classes[3:6], MSRC21.classes[20]) == (("cow", "sheep", "sky"), "boat")


def test_a_real_copy_has_the_same_names() -> None:
    if "PICIE_TEST_DATA" not in os.environ:
        pytest.skip("PICIE_TEST_DATA, a folder with msrc/, is not set")
    root = Path(os.environ["PICIE_TEST_DATA"]) / "msrc"
    if not root.is_dir():
        pytest.skip(f"{root} is absent")
    assert open_dataset("msrc21", root, "train+val", labelled=True).photos
    assert tuple((root / "classes.txt").read_text().split()) == MSRC23.classes
