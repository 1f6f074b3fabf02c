"""COCO JSON, read back with pycocotools."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from picie.errors import MissingExtraError
from picie.export.formats.coco import CocoWriter
from picie.export.formats.layout import ClassTable, Labelled, Options

Export = Callable[..., Path]

# Of pycocotools, where it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def read(out: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(out / "annotations" / "instances_default.json"))


@pytest.mark.parametrize("polygons", [False, True])
def test_masks_come_back_exactly(
    export: Export, gallery: list[Labelled], table: ClassTable, polygons: bool
) -> None:
    out = export("coco", polygons=polygons)
    coco = read(out)
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(table.names)
    assert len(coco.imgs) == len(gallery)
    for number, one in enumerate(gallery, 1):
        image = coco.imgs[number]
        assert (image["height"], image["width"]) == one.mask.shape
        assert image["file_name"] == one.name + one.path.suffix
        assert (out / "images" / image["file_name"]).read_bytes() == one.path.read_bytes()
        found = np.full(one.mask.shape, -1)
        for annotation in coco.imgToAnns[number]:
            inside = coco.annToMask(annotation).astype(bool)
            assert annotation["area"] == inside.sum()
            rows, columns = inside.nonzero()
            left, top = columns.min(), rows.min()
            box = [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
            assert annotation["bbox"] == box
            assert (found[inside] == -1).all()
            found[inside] = annotation["category_id"] - 1
        assert np.array_equal(found, one.mask)


def test_run_lengths_are_one_for_each_class(export: Export, gallery: list[Labelled]) -> None:
    coco = read(export("coco"))
    expected = sum(len(np.unique(one.mask[one.mask >= 0])) for one in gallery)
    assert len(coco.anns) == expected
    assert sorted(coco.anns) == list(range(1, expected + 1))


def test_simplified_polygons_keep_the_area_nearly(export: Export, gallery: list[Labelled]) -> None:
    coco = read(export("coco", polygons=True, tolerance=1.0))
    for number, one in enumerate(gallery, 1):
        found = sum(coco.annToMask(annotation).sum() for annotation in coco.imgToAnns[number])
        assert found == pytest.approx((one.mask >= 0).sum(), rel=0.1)


def test_lists_grow_on_disk_and_are_gone_at_the_end(
    export: Export, gallery: list[Labelled]
) -> None:
    out = export("coco", photos="none")
    found = [path for path in out.rglob("*") if path.is_file()]
    assert found == [out / "annotations" / "instances_default.json"]


@pytest.mark.parametrize("polygons", [False, True])
def test_nothing_but_ignored_pixels(
    export: Export, gallery: list[Labelled], polygons: bool
) -> None:
    first = gallery[0]
    void = replace(first, mask=np.full_like(first.mask, -1))
    coco = read(export("coco", [void], polygons=polygons))
    assert (len(coco.imgs), len(coco.anns)) == (1, 0)


def test_a_turned_photo_is_stored_upright(export: Export, turned: Labelled) -> None:
    with Image.open(export("coco", [turned]) / "images" / "turned.jpg") as image:
        assert image.size == (20, 40)
        assert image.getexif().get(0x112, 1) == 1
        pixels = np.asarray(image)
    assert pixels[:8].min() > 200
    assert pixels[12:].max() < 50


def test_pycocotools_is_asked_for(
    table: ClassTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r'coco needs pycocotools: pip install "picie\[exp'):
        CocoWriter(tmp_path, table, Options())
    CocoWriter(tmp_path, table, Options(polygons=True)).close()


def test_small_regions_have_no_polygons(export: Export) -> None:
    out = export("coco", polygons=True, min_area=20)
    assert min(one["area"] for one in read(out).anns.values()) >= 20
