from collections.abc import Callable
from pathlib import Path

import numpy as np

from picie.data.datasets.ade20k import ADE20K150
from picie.data.folder import PhotoFolder

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]


def test_ids_move_down_by_one(put: Put, opened: Opened) -> None:
    put("images/validation/ADE_val_00000001.jpg", np.zeros((1, 151, 3)))
    put("annotations/validation/ADE_val_00000001.png", np.array([[*range(151)]]))
    folder = opened("ade20k150", "val")
    [photo] = folder.photos
    assert photo.name == "validation/ADE_val_00000001"
    assert folder.truth(photo, image_size=(151, 1))[0].tolist() == [255, *range(150)]


def test_names_and_groups() -> None:
    names = ADE20K150.classes
    assert (names[0], names[12], names[20], names[149]) == ("wall", "person", "car", "flag")
    assert (names[56], names[95], names[105]) == ("pool table", "bannister", "conveyer belt")
    assert [len(ADE20K150.groups[group]) for group in ("things", "stuff")] == [100, 50]
    assert {12, 20, 149} <= set(ADE20K150.groups["things"])
