"""GeoTIFF masks with the coordinate system and transform of the raster."""

import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from picie.data.lists import class_lines
from picie.errors import ConfigError
from picie.export.formats.layout import ClassTable, Options, in_folder
from picie.export.formats.qgis import raster_style
from picie.export.formats.rasters import RasterView, masks_of, open_raster, rasterio
from picie.inference.segmenter import Segmenter

__all__ = ["GeoTiffWriter", "write_geotiff"]


class GeoTiffWriter:
    """OUT/<name>.tif for each raster, its style for QGIS (.qml), and classes.txt.

    Args:
        out: the folder.
        classes: ids.
        options: unused.
    """

    extension = ".tif"

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        rasterio()
        if len(classes.names) > 65535:
            raise ConfigError(
                "a GeoTIFF mask holds at most 65535 classes; pass a smaller --clusters"
            )
        self._out, self._classes = out, classes

    def add(
        self,
        name: str,
        path: Path,
        model: Segmenter,
        raster_view: RasterView,
        done: Callable[[float], object],
    ) -> None:
        """Segment one raster.

        Args:
            name: unique path without extension.
            path: the raster.
            model: a trained model.
            raster_view: how the network sees rasters.
            done: called with the finished share of the raster, 0..1.

        Raises:
            DataError: it cannot be read.
            OSError: the mask cannot be written.
        """
        target = in_folder(self._out / f"{name}.tif")
        write_geotiff(target, path, model, self._classes, raster_view, done)

    def close(self) -> None:
        """Write names and styles."""
        text = class_lines(self._classes.names)
        (self._out / "classes.txt").write_text(text, encoding="utf-8")
        style = raster_style(self._classes)
        for mask in self._out.rglob(f"*{self.extension}"):
            mask.with_suffix(".qml").write_text(style, encoding="utf-8")


def write_geotiff(
    target: Path,
    path: Path,
    model: Segmenter,
    classes: ClassTable,
    raster_view: RasterView,
    done: Callable[[float], object],
) -> None:
    """Write the mask of one raster, and read it back; a partial file is removed on failure.

    One band: 8-bit with a colour table up to 255 classes, else 16-bit. The largest value is nodata,
    for pixels without data and ignored classes. Names are tags of the band: CLASS_0 and so on.

    Args:
        target: file to write.
        path: the raster.
        model: a trained model.
        classes: ids.
        raster_view: how the network sees rasters.
        done: called with the finished share of the raster, 0..1.

    Raises:
        DataError: the raster cannot be read.
        OSError: the mask cannot be written.
    """
    written: list[tuple[Any, int]] = []
    try:
        with open_raster(path, raster_view) as raster:
            small = len(classes.names) <= 255
            with rasterio().open(target, "w", **_profile(raster.file, small=small)) as file:
                _describe(file, raster.file, classes, small=small)
                for block in masks_of(model, raster, raster_view):
                    # IGNORED wraps to the largest value, which is nodata.
                    ids = block.ids.astype(np.uint8 if small else np.uint16)
                    height, width = ids.shape
                    window = rasterio().windows.Window(block.left, block.top, width, height)
                    file.write(ids, 1, window=window)
                    written.append((window, zlib.crc32(ids.tobytes())))
                    done(block.share)
                notes = _notes(file)
        _check_written(target, written, notes)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _check_written(target: Path, written: list[tuple[Any, int]], notes: tuple[Any, ...]) -> None:
    """Compare a file with what was written: GDAL raises no error if the disk is full."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio().errors.NotGeoreferencedWarning)
            with rasterio().open(target, driver="GTiff") as file:
                good = _notes(file) == notes and all(
                    zlib.crc32(file.read(1, window=window).tobytes()) == checksum
                    for window, checksum in written
                )
    except OSError:
        good = False
    if not good:
        raise OSError("the file that was written cannot be read back; the disk may be full")


def _notes(file: Any) -> tuple[Any, ...]:
    """What a file has besides pixels; values that GDAL may write in another form only as a bool."""
    points, crs = file.gcps
    interpretation = file.colorinterp[0]
    place = not file.transform.is_identity
    return (
        bool(file.crs or crs),
        place,
        len(points),
        file.nodata,
        sorted(file.tags(1)),
        interpretation,
    )


def _profile(source: Any, *, small: bool) -> dict[str, Any]:
    profile = {
        "driver": "GTiff",
        "dtype": "uint8" if small else "uint16",
        "count": 1,
        "height": source.height,
        "width": source.width,
        "crs": source.crs,
        "transform": source.transform,
        "nodata": 255 if small else 65535,
        "compress": "deflate",
        "tiled": True,
        "bigtiff": "if_safer",
    }
    points, crs = source.gcps
    return profile | ({"gcps": points, "crs": crs} if crs is not None else {})


def _describe(file: Any, source: Any, classes: ClassTable, *, small: bool) -> None:
    file.set_band_description(1, "class")
    file.update_tags(1, **{f"CLASS_{n}": name for n, name in enumerate(classes.names)})
    if small:
        rows = classes.colours.tolist()
        table = {number: (*row, 255) for number, row in enumerate(rows)}
        file.write_colormap(1, table | {255: (0, 0, 0, 0)})
