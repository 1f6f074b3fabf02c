"""GeoTIFF masks, read back with rasterio."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from picie.data.lists import read_class_names
from picie.errors import DataError, PicieError
from picie.export.formats import geotiff
from picie.export.formats.geotiff import GeoTiffWriter
from picie.export.formats.layout import ClassTable, Options
from picie.export.masks import export_masks
from picie.inference.segmenter import Segmenter
from picie.runtime.progress import Reporter
from picie.visualization.palette import palette

rasterio = pytest.importorskip("rasterio")

Write = Callable[..., None]


def test_the_grid_of_the_raster_is_kept(model: Segmenter, field: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export_masks(model, "geotiff", field, out) == 1
    with rasterio.open(field / "ü" / "north.tif") as file:
        valid, place = file.dataset_mask() > 0, file.transform
    with rasterio.open(out / "ü" / "north.tif") as file:
        assert (file.crs, file.transform, file.shape) == ("EPSG:25832", place, (96, 140))
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), 255)
        mask = file.read(1)
        assert np.array_equal(file.dataset_mask() > 0, valid)
        colours = [file.colormap(1)[number][:3] for number in range(3)]
        assert file.tags(1)["CLASS_2"] == "cluster 2"
    assert colours == [tuple(row) for row in model.colours.tolist()]
    assert np.array_equal(mask == 255, ~valid)
    assert set(np.unique(mask)) <= {0, 1, 2, 255}
    assert (out / "classes.txt").read_text().splitlines() == list(model.names)
    entries = ElementTree.parse(out / "ü" / "north.qml").iter("paletteEntry")
    assert [entry.get("label") for entry in entries] == list(model.names)


def test_ground_control_points_are_kept(
    model: Segmenter, tmp_path: Path, write_raster: Write
) -> None:
    points = [
        rasterio.control.GroundControlPoint(row, column, 10 + column / 100, 50 - row / 100)
        for row, column in ((0, 0), (0, 40), (40, 0))
    ]
    bands = np.full((3, 40, 40), 9, np.uint8)
    write_raster(tmp_path / "in" / "x.tif", bands, gcps=points, crs="EPSG:4326")
    export_masks(model, "geotiff", tmp_path / "in", tmp_path / "tif")
    with rasterio.open(tmp_path / "tif" / "x.tif") as file:
        kept, crs = file.gcps
    assert crs == "EPSG:4326"
    assert [(one.row, one.col, one.x, one.y) for one in kept] == [
        (one.row, one.col, one.x, one.y) for one in points
    ]
    with pytest.raises(DataError, match="ground control points but no transform; warp it first"):
        export_masks(model, "geopackage", tmp_path / "in", tmp_path / "out")


def test_rasters_that_cannot_be_read_are_left_out(
    model: Segmenter, field: Path, tmp_path: Path
) -> None:
    (field / "b.tif").write_text("no raster")
    assert export_masks(model, "geotiff", field, tmp_path / "out") == 1
    assert not (tmp_path / "out" / "b.tif").exists()
    (field / "ü" / "north.tif").unlink()
    with pytest.raises(DataError, match=r"none of the 1 rasters could be read; first: .*b\.tif"):
        export_masks(model, "geotiff", field, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_files_that_are_no_rasters_are_named_and_left_out(
    model: Segmenter, field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    virtual = '<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000"></VRTDataset>'
    (field / "a.tif").write_text(virtual)
    (field / "z.tif").write_bytes((field / "ü" / "north.tif").read_bytes()[:3000])
    assert export_masks(model, "geotiff", field, tmp_path / "out", reporter=Reporter()) == 1
    text = capsys.readouterr().err
    assert "a.tif: cannot be read as a raster (it is not a GeoTIFF" in text
    assert "z.tif: cannot be read as a raster" in text
    assert "1 image in" in text
    assert [path.name for path in (tmp_path / "out").rglob("*.tif")] == ["north.tif"]


@pytest.mark.parametrize("name", ["#road", "a:b", "// x", "- y"])
def test_classes_in_the_list_are_read_back(model: Segmenter, tmp_path: Path, name: str) -> None:
    table = ClassTable((name, "sky"), palette(2))
    GeoTiffWriter(tmp_path, table, Options()).close()
    assert read_class_names(tmp_path / "classes.txt") == (name, "sky")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_that_was_cut_off_by_a_full_disk_is_noticed(
    model: Segmenter, field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    check = vars(geotiff)["_check_written"]

    def cut(target: Path, *rest: Any) -> None:  # GDAL raises no error in this case
        os.truncate(target, int(share * target.stat().st_size))
        check(target, *rest)

    monkeypatch.setattr(geotiff, "_check_written", cut)
    with pytest.raises(PicieError, match=r"out: cannot be written \(the file that was written can"):
        export_masks(model, "geotiff", field, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_other_pixels_than_those_written_are_noticed(
    model: Segmenter, field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("picie.export.formats.geotiff.zlib", _Counting())
    with pytest.raises(PicieError, match="cannot be read back; the disk may be full"):
        export_masks(model, "geotiff", field, tmp_path / "out")


class _Counting:
    """Checksums that never agree."""

    count = 0

    def crc32(self, data: bytes) -> int:
        self.count += 1
        return self.count
