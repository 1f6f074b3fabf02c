"""How large a pixel is in the world: as the user says, or as a GeoTIFF says."""

import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picie.data.listing import few
from picie.errors import ConfigError
from picie.runtime.storage import local_copy

__all__ = ["PixelSize", "Scale", "parse_pixel_size", "scale_of"]

_UNITS = ("nm", "um", "mm", "cm", "m", "km")
_TEXT = re.compile(rf"([0-9.eE+-]+)\s*({'|'.join(_UNITS)})?")
_TIFF = (".tif", ".tiff")
_SAMPLE = 32  # photos that decide whether there are sizes at all
_MERCATOR = 3857  # its metres grow with the latitude
_ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel.

    Attributes:
        side: of a square of the same area, in `unit`.
        unit: nm, um, mm, cm, m or km.
    """

    side: float
    unit: str = "m"


def parse_pixel_size(text: str) -> PixelSize | None:
    """The size that a person writes: a number, in metres if no unit follows.

    Args:
        text: "0.05", "0.65um"; "" = unknown.

    Raises:
        ConfigError: it is no such size.

    Example:
        >>> parse_pixel_size("0.65um")
        PixelSize(side=0.65, unit='um')
    """
    if not text:
        return None
    found = _TEXT.fullmatch(text.strip().replace("\u00b5", "u").replace("\u03bc", "u"))
    try:
        side = float(found[1]) if found else 0.0
    except ValueError:
        side = 0.0
    if found is None or not (math.isfinite(side) and side > 0):
        raise ConfigError(
            f"--pixel-size {text}: give the side of a pixel, such as 0.05 (metres) or 0.65um; "
            f"units: {', '.join(_UNITS)}"
        )
    return PixelSize(side, found[2] or "m")


class Scale:
    """The size of the pixels of each photo.

    Args:
        given: for all photos; None = as their files say.
        unit: of all sizes; "" = there are none.
        notes: why there are none, if that is worth a word.

    Attributes:
        unit: as given.
        notes: as given.
    """

    def __init__(self, given: PixelSize | None, unit: str, notes: tuple[str, ...] = ()) -> None:
        self.unit, self.notes = unit, notes
        self._given = given

    def side(self, file: Path | str) -> float | None:
        """The side of a pixel of a photo in `unit`; None = unknown."""
        if self._given is not None:
            return self._given.side
        return _read(file)[0] if self.unit else None


def scale_of(text: str, files: Sequence[Path | str]) -> Scale:
    """The scale of photos: what a person says, else what some of the files say.

    Args:
        text: as for `parse_pixel_size`.
        files: of all photos.

    Raises:
        ConfigError: as `parse_pixel_size`.
    """
    given = parse_pixel_size(text)
    if given is not None:
        return Scale(given, given.unit)
    maps = [file for file in files if str(file).lower().endswith(_TIFF)]
    if not maps:
        return Scale(None, "")
    if _rasterio() is None:
        note = (
            f'{len(maps)} photos are TIFF files; if they are maps, pip install "picie[geo]" '
            "brings areas in square metres, and so does --pixel-size"
        )
        return Scale(None, "", (note,))
    sample = maps[:: math.ceil(len(maps) / _SAMPLE)]
    found = {str(file): _read(file) for file in sample}
    problems = [(file, problem) for file, (_, problem) in found.items() if problem]
    notes: tuple[str, ...] = ()
    if problems:
        notes = (
            f"{problems[0][1]}, so that a pixel has no area in square metres ("
            f"{few([file for file, _ in problems])}); project the files first, for example with "
            "gdalwarp -t_srs EPSG:32633 (the UTM zone of the place), or pass --pixel-size",
        )
    known = any(side for side, _ in found.values())
    return Scale(None, "m" if known else "", notes)


def _rasterio() -> Any:
    """The package rasterio, or None."""
    try:
        import rasterio
        import rasterio.errors
    except ImportError:
        return None
    return rasterio


def _read(file: Path | str) -> tuple[float | None, str]:
    """The side of a pixel in metres, and why a file with coordinates has none.

    Only GDAL's driver of GeoTIFF opens files, and only the file itself.
    """
    library = _rasterio()
    if library is None or not str(file).lower().endswith(_TIFF):
        return None, ""
    with local_copy(file) as path, warnings.catch_warnings(), library.Env(**_ALONE):
        warnings.simplefilter("ignore", library.errors.NotGeoreferencedWarning)
        real = os.path.realpath(path)
        if real.startswith("/vsi"):
            return None, ""
        try:
            with library.open(real, driver="GTiff") as raster:
                return _side(raster)
        except (library.errors.RasterioError, library.errors.CRSError, OSError):
            return None, ""  # the photo itself may be readable, or its message comes with it


def _side(raster: Any) -> tuple[float | None, str]:
    if raster.crs is None or raster.transform.is_identity:
        return None, ""
    if raster.crs.is_geographic:
        return None, "coordinates are degrees"
    if raster.crs.to_epsg() == _MERCATOR:
        return None, "coordinates are web Mercator, whose metres grow with the latitude"
    factor = raster.crs.linear_units_factor[1]
    side = math.sqrt(abs(raster.transform.determinant)) * factor
    return (side, "") if side > 0 else (None, "")
