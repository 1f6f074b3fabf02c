"""GeoTIFF masks, read back with rasterio."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.errors import DataError
from picie.export.masks import export_masks
from picie.inference.segmenter import Segmenter
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
    assert colours == [tuple(row) for row in palette(3).tolist()]
    assert np.array_equal(mask == 255, ~valid)
    assert set(np.unique(mask)) <= {0, 1, 2, 255}
    assert (out / "classes.txt").read_text().splitlines() == list(model.names)


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
