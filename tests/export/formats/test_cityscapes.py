"""The tree of Cityscapes, read back with torchvision."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torchvision.datasets import Cityscapes

from picie.export.formats.layout import ClassTable, Labelled

Export = Callable[..., Path]


def test_photos_and_masks(export: Export, gallery: list[Labelled], table: ClassTable) -> None:
    out = export("cityscapes")
    read = Cityscapes(out, split="train", mode="fine", target_type=["semantic", "color"])
    assert len(read) == len(gallery)
    labels = json.loads((out / "labels.json").read_text())
    shown = np.array([label["color"] for label in labels])
    places = {"a b": "photos/a b", "sub é/deeper/x": "sub é/deeper__x", "plain": "photos/plain"}
    pairs = {
        Path(file).relative_to(out / "leftImg8bit/train").as_posix(): read[number]
        for number, file in enumerate(read.images)
    }
    for one in gallery:
        place = places.get(one.name, one.name)
        photo, (values, painted) = pairs[f"{place}_leftImg8bit.png"]
        assert np.array_equal(np.asarray(photo), one.image)
        assert np.array_equal(np.asarray(values), np.where(one.mask < 0, 255, one.mask))
        colours = np.asarray(painted.convert("RGB"))
        assert np.array_equal(colours[one.mask >= 0], shown[one.mask[one.mask >= 0]])
        assert not colours[one.mask < 0].any()
    assert [label["name"] for label in labels] == list(table.names)
    assert shown.any(1).all()  # black is for ignored pixels


def moved(one: Labelled, name: str) -> Labelled:
    """The image under another name."""
    path = one.path.with_name(f"{name.rpartition('/')[2]}.jpg")
    shutil.copyfile(one.path, path)
    return replace(one, name=name, path=path)


def test_a_folder_that_has_the_name_of_no_folder(export: Export, gallery: list[Labelled]) -> None:
    images = [moved(gallery[0], name) for name in ("photos/x", "x")]
    out = export("cityscapes", images)
    assert len(list((out / "leftImg8bit/train/photos").iterdir())) == 2
