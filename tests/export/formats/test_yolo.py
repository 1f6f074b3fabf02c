"""YOLO polygons."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coding

from picie.export.formats.layout import ClassTable, Labelled
from picie.postprocessing.regions import fill_small_regions, label_regions

Export = Callable[..., Path]

# Of pycocotools, where it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_polygons_cover_the_masks(
    export: Export, gallery: list[Labelled], tolerance: float
) -> None:
    out = export("yolo", tolerance=tolerance)
    for one in gallery:
        name = one.name.replace("/", "__")
        photo = out / "images" / "train" / f"{name}{one.path.suffix}"
        assert photo.read_bytes() == one.path.read_bytes()
        found = np.full(one.mask.shape, -1)
        height, width = one.mask.shape
        for line in (out / "labels" / "train" / f"{name}.txt").read_text().splitlines():
            number, *places = line.split()
            corners = np.array(places, float).reshape(-1, 2)
            assert corners.min() >= 0
            assert corners.max() <= 1
            ring = (corners * (width, height)).ravel().tolist()
            found[coding.decode(coding.frPyObjects([ring], height, width)[0]) > 0] = int(number)
        assert (found == one.mask).mean() > (0.9 if tolerance else 0.999999)


def test_the_yaml_names_the_classes(export: Export, table: ClassTable) -> None:
    lines = (export("yolo") / "data.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("names:")
    names = [f'  {number}: "{name}"' for number, name in enumerate(table.names)]
    assert lines[start + 1 :] == names
    assert "train: images/train" in lines


def test_a_folder_called_images_is_no_trap(export: Export, gallery: list[Labelled]) -> None:
    images = [
        replace(gallery[0], name=name, path=gallery[0].path.with_name(f"{name[-1]}.jpg"))
        for name in ("images/x", "images__x", "x")
    ]
    for one in images:
        shutil.copyfile(gallery[0].path, one.path)
    out = export("yolo", images)
    photos = sorted(path.stem for path in (out / "images" / "train").iterdir())
    assert photos == ["%69mages__x", "images__x", "x"]
    assert sorted(path.stem for path in (out / "labels" / "train").iterdir()) == photos


def test_small_regions_go_to_the_classes_around_them(
    export: Export, gallery: list[Labelled]
) -> None:
    out = export("yolo", gallery[:1], min_area=12)
    filled = fill_small_regions(gallery[0].mask, 12)
    lines = (out / "labels" / "train" / "a b.txt").read_text().splitlines()
    assert len(lines) == len(label_regions(filled)[1]) < len(label_regions(gallery[0].mask)[1])
