"""GeoPackage polygons, read back with pyogrio and shapely."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from picie.errors import MissingExtraError, PicieError
from picie.export.formats.geopackage import LAYER, GeoPackageWriter
from picie.export.formats.layout import ClassTable, Options
from picie.export.masks import export_masks
from picie.inference.segmenter import Segmenter
from picie.visualization.palette import palette

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
features = pytest.importorskip("rasterio.features")


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
    assert info["crs"] == "EPSG:25832"
    meta, _, geometry, columns = pyogrio.raw.read(path, layer=LAYER)
    fields = dict(zip(meta["fields"], columns, strict=True))
    shapes = shapely.from_wkb(geometry)
    assert shapely.is_valid(shapes).all()
    names = [model.names[number] for number in fields["id"]]
    assert fields["name"].tolist() == names
    assert all(len(colour) == 7 for colour in fields["colour"])
    with rasterio.open(tmp_path / "tif" / "ü" / "north.tif") as file:
        mask, place = file.read(1), file.transform
    assert fields["pixels"].sum() == (mask != 255).sum()
    pairs = list(zip(shapes, fields["id"].tolist(), strict=True))
    drawn = features.rasterize(pairs, mask.shape, fill=255, transform=place, dtype="uint8")
    assert (drawn == mask).mean() > (0.95 if tolerance else 0.9999999)
    if not tolerance:
        for number in range(3):
            area = shapely.area(shapes[fields["id"] == number]).sum()
            assert area == pytest.approx(0.25 * (mask == number).sum())


def test_qgis_finds_the_style_of_the_layer(model: Segmenter, field: Path, tmp_path: Path) -> None:
    export_masks(model, "geopackage", field, tmp_path / "out")
    with closing(sqlite3.connect(tmp_path / "out" / "ü" / "north.gpkg")) as file:
        [(application,)] = file.execute("PRAGMA application_id")
        assert application == int.from_bytes(b"GPKG")
        tables = dict(file.execute("SELECT table_name, data_type FROM gpkg_contents"))
        assert tables == {LAYER: "features", "layer_styles": "attributes"}
        asked = (  # by QGIS, for the style of a layer that it opens
            "SELECT styleQML FROM layer_styles WHERE f_table_schema='' AND f_table_name=? "
            "AND f_geometry_column=(SELECT column_name FROM gpkg_geometry_columns) "
            "ORDER BY CASE WHEN useAsDefault THEN 1 ELSE 2 END, update_time DESC LIMIT 1"
        )
        [(style,)] = file.execute(asked, (LAYER,))
    names = [one.get("value") for one in ElementTree.fromstring(style).iter("category")]
    assert names == list(model.names)


def test_small_polygons_are_left_out(model: Segmenter, field: Path, tmp_path: Path) -> None:
    def pixels(smallest: int) -> list[int]:
        out = tmp_path / str(smallest)
        export_masks(model, "geopackage", field, out, options=Options(min_area=smallest))
        meta, _, _, columns = pyogrio.raw.read(out / "ü" / "north.gpkg", layer=LAYER)
        return sorted(dict(zip(meta["fields"], columns, strict=True))["pixels"].tolist())

    everything = pixels(0)
    smallest = everything[1] + 1
    assert pixels(smallest) == [count for count in everything if count >= smallest]


def test_nothing_but_void_is_an_empty_layer(
    model: Segmenter, tmp_path: Path, write_raster: Callable[..., None]
) -> None:
    bands = np.zeros((3, 40, 40), np.uint8)
    place = rasterio.Affine(2, 0, 0, 0, -2, 0)
    write_raster(tmp_path / "in" / "x.tif", bands, crs="EPSG:25832", transform=place, nodata=0)
    export_masks(model, "geopackage", tmp_path / "in", tmp_path / "out")
    assert pyogrio.read_info(tmp_path / "out" / "x.gpkg", layer=LAYER)["features"] == 0


def test_pyogrio_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    table = ClassTable(("a",), palette(1))
    with pytest.raises(MissingExtraError, match=r"geopackage needs pyogrio and shapely: pip inst"):
        GeoPackageWriter(tmp_path, table, Options())


def test_a_disk_that_is_full_leaves_nothing(
    model: Segmenter, field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise pyogrio.errors.DataSourceError("Failed to commit transaction\nmore")

    def half(*_: object, **__: object) -> dict[str, int]:
        return {"features": 1}

    for name, broken, said in (
        ("pyogrio.raw.write", full, "Failed to commit transaction"),
        ("pyogrio.read_info", half, "polygons are missing in the file that was written"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, broken)
            with pytest.raises(PicieError, match=rf"out: cannot be written \({said}\) and was not"):
                export_masks(model, "geopackage", field, tmp_path / "out")
        assert not list(tmp_path.glob("*out*"))
