"""YOLO polygons."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coding

from picie.export.formats.layout import ClassTable, Labelled

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
    first = gallery[0]
    names = ["images/x", "images__x", "x"]
    images = [Labelled(name, first.path, first.image, first.mask, True) for name in names]
    out = export("yolo", images)
    photos = sorted(path.stem for path in (out / "images" / "train").iterdir())
    assert photos == ["images__x", "images__x__2", "x"]
    assert sorted(path.stem for path in (out / "labels" / "train").iterdir()) == photos
