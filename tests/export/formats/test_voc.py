"""The Pascal VOC layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.errors import ConfigError
from picie.export.formats.layout import ClassTable, Labelled
from picie.export.formats.voc import LabelMap, object_colours
from picie.visualization.palette import palette

Export = Callable[..., Path]


def test_masks_list_and_label_map(
    export: Export, gallery: list[Labelled], table: ClassTable
) -> None:
    out = export("voc")
    listed = (out / "ImageSets/Segmentation/default.txt").read_text(encoding="utf-8")
    assert listed.splitlines() == [one.name for one in gallery]
    first, background, *lines = (out / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert first.startswith("#")
    assert background == "background:0,0,0::"
    assert [line.split(":")[0] for line in lines] == list(table.names)
    colours = [tuple(map(int, line.split(":")[1].split(","))) for line in lines]
    assert len({*colours, (0, 0, 0)}) == 5  # also where the model has a black class
    for one in gallery:
        with Image.open(out / "SegmentationClass" / f"{one.name}.png") as image:
            assert image.mode == "P"
            values, painted = np.asarray(image), np.asarray(image.convert("RGB"))
        assert np.array_equal(values, np.where(one.mask < 0, 255, one.mask + 1))
        for number, colour in enumerate(colours):
            assert (painted[one.mask == number] == colour).all()
        with Image.open(out / "SegmentationObject" / f"{one.name}.png") as image:
            assert np.array_equal(np.asarray(image), values)
        with Image.open(out / "JPEGImages" / f"{one.name}.jpg") as image:
            assert image.format == "JPEG"
            assert np.asarray(image).shape == (*one.mask.shape, 3)
    jpeg = next(one for one in gallery if one.path.suffix == ".jpg")
    assert (out / "JPEGImages" / f"{jpeg.name}.jpg").read_bytes() == jpeg.path.read_bytes()


def test_a_class_that_is_called_background() -> None:
    labels = LabelMap.of(ClassTable(("a", "background", "b"), palette(3)), "voc")
    assert labels.names == ("a", "b")
    mask = np.array([[0, 1, 2, -1]])
    assert labels.apply(mask, 255).tolist() == [[1, 0, 2, 255]]
    assert labels.text().count("background") == 1


def test_colours_of_objects_are_those_of_the_standard() -> None:
    known = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    colours = object_colours(256)
    assert [tuple(row) for row in colours[:5].tolist()] == known
    assert colours[8].tolist() == [64, 0, 0]
    assert colours[255].tolist() == [224, 224, 192]
    assert len(np.unique(colours, axis=0)) == 256


def test_numbers_that_it_cannot_hold(export: Export) -> None:
    many = ClassTable(tuple(map(str, range(255))), palette(255))
    with pytest.raises(
        ConfigError,
        match="has 255 classes, but --format voc holds at most 254; pass a smaller --cl",
    ):
        export("voc", classes=many)
