"""GeoPackage polygons of georeferenced rasters."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from picie.errors import DataError, MissingExtraError
from picie.export.formats.geotiff import write_geotiff
from picie.export.formats.layout import ClassTable, Options, in_folder
from picie.export.formats.qgis import polygon_style
from picie.export.formats.rasters import RasterView, open_raster, rasterio
from picie.inference.segmenter import Segmenter

__all__ = ["LAYER", "GeoPackageWriter"]

LAYER = "classes"
"""Name of the layer of polygons."""

_STYLES = "layer_styles"  # QGIS's name for it
_UTC = 100  # GDAL's number for this time zone
_AT_ONCE = 10_000  # polygons per write


class GeoPackageWriter:
    """OUT/<name>.gpkg for each raster: a polygon for each connected region.

    Polygons follow the edges of pixels and may have holes. Their attributes are id, name, colour
    (#rrggbb) and pixels. The table layer_styles has their style, which QGIS applies by itself.
    Pixels without data and of ignored classes have no polygon. Polygons are traced from a temporary
    mask on disk, so rasters may exceed memory; the polygons of one raster must fit.

    Args:
        out: the folder.
        classes: ids.
        options: tolerance, min_area; smaller polygons are left out.

    Raises:
        MissingExtraError: an optional package is missing.
    """

    extension = ".gpkg"

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        rasterio()
        _vectors()
        self._out, self._classes, self._options = out, classes, options

    def add(
        self,
        name: str,
        path: Path,
        model: Segmenter,
        raster_view: RasterView,
        done: Callable[[float], object],
    ) -> None:
        """Segment one raster, as `GeoTiffWriter.add`.

        Raises:
            DataError: it cannot be read, or has no transform.
            OSError: a file cannot be written.
        """
        with open_raster(path, raster_view) as raster:
            if raster.file.crs is None:
                raise DataError(
                    f"{path}: has ground control points but no transform; warp it first "
                    "(gdalwarp), or choose --format geotiff, which keeps the points"
                )
        target = in_folder(self._out / f"{name}.gpkg")
        mask = target.with_name(f"{target.name}.part.tif")
        try:
            write_geotiff(mask, path, model, self._classes, raster_view, done)
            self._write(mask, target)
        finally:
            mask.unlink(missing_ok=True)

    def close(self) -> None:
        """There are no remaining files."""

    def _write(self, mask: Path, target: Path) -> None:
        with rasterio().open(mask) as file:
            polygons = self._polygons(file)
            batch = list(islice(polygons, _AT_ONCE))
            self._put(target, file, batch, append=False)  # creates the layer even without polygons
            count = len(batch)
            while batch := list(islice(polygons, _AT_ONCE)):
                self._put(target, file, batch, append=True)
                count += len(batch)
        self._put_style(target)
        with _writing():
            for layer, features in ((LAYER, count), (_STYLES, 1)):
                if _vectors()[0].read_info(target, layer=layer)["features"] != features:
                    raise OSError("polygons are missing in the file that was written")

    def _polygons(self, file: Any) -> Iterator[tuple[int, Any]]:
        _, shapely = _vectors()
        band = rasterio().band(file, 1)
        transform = file.transform
        smallest = (self._options.min_area - 0.5) * abs(transform.determinant)
        for shape, value in rasterio().features.shapes(band, connectivity=4, transform=transform):
            if value != file.nodata and (polygon := shapely.geometry.shape(shape)).area > smallest:
                yield int(value), polygon

    def _put(self, target: Path, file: Any, batch: list[tuple[int, Any]], *, append: bool) -> None:
        pyogrio, shapely = _vectors()
        pixel = abs(file.transform.determinant)
        ids = np.array([number for number, _ in batch], np.int32)
        shapes = np.array([shape for _, shape in batch], object)
        pixels = np.rint(shapely.area(shapes) / pixel).astype(np.int64)
        if self._options.tolerance:
            shapes = shapely.simplify(shapes, self._options.tolerance * math.sqrt(pixel))
        colours = [f"#{bytes(row).hex()}" for row in self._classes.colours.tolist()]
        with _writing():
            pyogrio.raw.write(
                target,
                shapely.to_wkb(shapes),
                [
                    ids,
                    np.array([self._classes.names[number] for number in ids], object),
                    np.array([colours[number] for number in ids], object),
                    pixels,
                ],
                ["id", "name", "colour", "pixels"],
                layer=LAYER,
                driver="GPKG",
                geometry_type="Polygon",
                crs=file.crs.to_wkt(),
                encoding="utf-8",
                append=append,
            )

    def _put_style(self, target: Path) -> None:
        """Add the table in which QGIS looks for the style of a layer."""
        texts = {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": LAYER,
            "f_geometry_column": "geom",
            "styleName": LAYER,
            "styleQML": polygon_style(self._classes, "name"),
            "styleSLD": "",
            "description": "",
            "owner": "",
            "ui": "",
        }
        with _writing():
            _vectors()[0].raw.write(
                target,
                None,
                [
                    *(np.array([text], object) for text in texts.values()),
                    np.array([True]),
                    np.array([np.datetime64("now", "ms")]),
                ],
                [*texts, "useAsDefault", "update_time"],
                layer=_STYLES,
                gdal_tz_offsets={"update_time": np.array([_UTC])},
                DATETIME_PRECISION="MILLISECOND",
                driver="GPKG",
                encoding="utf-8",
            )


@contextmanager
def _writing() -> Iterator[None]:
    """Turn the errors and warnings of GDAL into an `OSError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except (RuntimeError, Warning) as error:  # the disk is full, for example
        raise OSError(str(error).splitlines()[0][:200]) from error


def _vectors() -> tuple[Any, Any]:
    """The packages pyogrio and shapely."""
    try:
        import pyogrio
        import shapely
        import shapely.geometry
    except ImportError:
        raise MissingExtraError(
            'picie export --format geopackage needs pyogrio and shapely: pip install "picie[geo]"'
        ) from None
    return pyogrio, shapely
