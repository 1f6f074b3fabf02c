"""GeoTIFF masks and GeoPackage polygons, read back with rasterio and pyogrio."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picie.data.synthetic import draw_scene
from picie.errors import DataError, MissingExtraError
from picie.exporting import export_masks
from picie.exports.geopackage import LAYER, GeoPackageWriter
from picie.exports.layout import ClassTable, Options
from picie.exports.rasters import Look, open_raster
from picie.inference import Segmenter
from picie.report.palette import palette

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.features import rasterize  # noqa: E402

TRANSFORM = rasterio.Affine(0.5, 0, 412000, 0, -0.5, 5310000)
CRS = "EPSG:25832"
"""Metres; half a metre a pixel."""


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """A folder with a raster whose corner has no data."""
    folder = tmp_path / "a field" / "ü"
    folder.mkdir(parents=True)
    bands = np.ascontiguousarray(draw_scene(3, 1, (96, 140))[0].transpose(2, 0, 1))
    bands[bands == 0] = 1
    bands[:, :20, :30] = 0
    write(folder / "north.tif", bands, crs=CRS, transform=TRANSFORM, nodata=0)
    return tmp_path / "a field"


def write(path: Path, bands: Any, **profile: Any) -> None:
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **shape, **profile) as file:
        file.write(bands)


def test_the_grid_of_the_raster_is_kept(model: Segmenter, field: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export_masks(model, "geotiff", field, out) == 1
    with rasterio.open(field / "ü" / "north.tif") as file:
        valid = file.dataset_mask() > 0
    with rasterio.open(out / "ü" / "north.tif") as file:
        assert (file.crs, file.transform, file.shape) == (CRS, TRANSFORM, (96, 140))
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), 255)
        mask = file.read(1)
        assert np.array_equal(file.dataset_mask() > 0, valid)
        colours = [file.colormap(1)[number][:3] for number in range(3)]
        assert file.tags(1)["CLASS_2"] == "cluster 2"
    assert colours == [tuple(row) for row in palette(3).tolist()]
    assert np.array_equal(mask == 255, ~valid)
    assert set(np.unique(mask)) <= {0, 1, 2, 255}
    assert (out / "classes.txt").read_text().splitlines() == list(model.names)


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_polygons_are_the_mask(
    model: Segmenter, field: Path, tmp_path: Path, tolerance: float
) -> None:
    export_masks(model, "geotiff", field, tmp_path / "tif")
    export_masks(model, "geopackage", field, tmp_path / "out", options=Options(tolerance=tolerance))
    found = sorted(path.name for path in (tmp_path / "out" / "ü").iterdir())
    assert found == ["north.gpkg"]
    path = tmp_path / "out" / "ü" / "north.gpkg"
    info = pyogrio.read_info(path, layer=LAYER)
    assert rasterio.crs.CRS.from_user_input(info["crs"]) == rasterio.crs.CRS.from_user_input(CRS)
    meta, _, geometry, columns = pyogrio.raw.read(path, layer=LAYER)
    fields = dict(zip(meta["fields"], columns, strict=True))
    shapes = shapely.from_wkb(geometry)
    assert shapely.is_valid(shapes).all()
    names = [model.names[number] for number in fields["id"]]
    assert fields["name"].tolist() == names
    assert all(len(colour) == 7 for colour in fields["colour"])
    with rasterio.open(tmp_path / "tif" / "ü" / "north.tif") as file:
        mask = file.read(1)
    assert fields["pixels"].sum() == (mask != 255).sum()
    pairs = list(zip(shapes, fields["id"].tolist(), strict=True))
    drawn = rasterize(pairs, mask.shape, fill=255, transform=TRANSFORM, dtype="uint8")
    assert (drawn == mask).mean() > (0.95 if tolerance else 0.9999999)
    if not tolerance:
        for number in range(3):
            area = shapely.area(shapes[fields["id"] == number]).sum()
            assert area == pytest.approx(0.25 * (mask == number).sum())


def test_nothing_but_void_is_an_empty_layer(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    bands = np.zeros((3, 40, 40), np.uint8)
    write(tmp_path / "in" / "x.tif", bands, crs=CRS, transform=TRANSFORM, nodata=0)
    export_masks(model, "geopackage", tmp_path / "in", tmp_path / "out")
    assert pyogrio.read_info(tmp_path / "out" / "x.gpkg", layer=LAYER)["features"] == 0


def test_ground_control_points_are_kept(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    points = [
        GroundControlPoint(row, column, 10 + column / 100, 50 - row / 100)
        for row, column in ((0, 0), (0, 40), (40, 0))
    ]
    bands = np.full((3, 40, 40), 9, np.uint8)
    write(tmp_path / "in" / "x.tif", bands, gcps=points, crs="EPSG:4326")
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
    with pytest.raises(DataError, match="none of the 1 rasters could be read; first: .*b.tif"):
        export_masks(model, "geotiff", field, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_pyogrio_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    table = ClassTable(("a",), palette(1))
    with pytest.raises(MissingExtraError, match=r"geopackage needs pyogrio and shapely: pip inst"):
        GeoPackageWriter(tmp_path, table, 0)


def test_looks_reach_the_raster(field: Path) -> None:
    with open_raster(field / "ü" / "north.tif", Look(bands=(3,))) as raster:
        assert raster.bands == (3,)
