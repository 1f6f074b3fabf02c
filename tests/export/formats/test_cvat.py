"""CVAT's archive."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import ClassTable, Labelled

Export = Callable[..., Path]


def test_the_archive_holds_masks_in_the_colours_of_its_label_map(
    export: Export, gallery: list[Labelled], table: ClassTable
) -> None:
    out = export("cvat")
    with zipfile.ZipFile(out / "annotations.zip") as archive:
        assert archive.testzip() is None
        parts = {name: archive.read(name) for name in archive.namelist()}
    listed = parts.pop("ImageSets/Segmentation/default.txt").decode().splitlines()
    assert listed == [one.name for one in gallery]
    lines = parts.pop("labelmap.txt").decode().splitlines()[1:]
    colours = {
        name: tuple(map(int, rgb.split(","))) for name, rgb, *_ in (li.split(":") for li in lines)
    }
    assert list(colours) == ["background", *table.names]
    assert len(set(colours.values())) == 5
    for one in gallery:
        painted = np.asarray(Image.open(io.BytesIO(parts.pop(f"SegmentationClass/{one.name}.png"))))
        objects = np.asarray(
            Image.open(io.BytesIO(parts.pop(f"SegmentationObject/{one.name}.png")))
        )
        assert painted.shape == objects.shape == (*one.mask.shape, 3)
        for number in np.unique(one.mask).tolist():
            name = "background" if number < 0 else table.names[number]
            assert (painted[one.mask == number] == colours[name]).all()
            assert len(np.unique(objects[one.mask == number], axis=0)) == 1
        assert not objects[one.mask < 0].any()
        photo = out / "images" / f"{one.name}{one.path.suffix}"
        assert photo.read_bytes() == one.path.read_bytes()
    assert not parts


def test_photos_can_be_left_out(export: Export) -> None:
    assert [path.name for path in export("cvat", photos="none").iterdir()] == ["annotations.zip"]
