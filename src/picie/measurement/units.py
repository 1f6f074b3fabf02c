"""What is known of pixels: how large they are, as the user or a GeoTIFF says, and where data lack.

Only GDAL's driver of GeoTIFF opens files, and only the file itself.
"""

import math
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from picie.data.listing import few
from picie.data.stored import is_alpha
from picie.errors import ConfigError
from picie.runtime.storage import local_copy

__all__ = ["Ground", "PixelSize", "Scale", "parse_pixel_size", "scale_of"]

_UNITS = ("nm", "um", "mm", "cm", "m", "km")
_TEXT = re.compile(rf"([0-9.eE+-]+)\s*({'|'.join(_UNITS)})?")
_TIFF = (".tif", ".tiff")
_SAMPLE = 32  # photos that decide whether there are sizes at all
_STRETCHED = {"merc": "Mercator", "eqc": "equirectangular"}  # by PROJ's names
_SIDES = (1e-30, 1e30)  # beyond them, areas are no numbers
_SQUARE = 0.01  # difference of the sides of a square pixel at most, as a share
_Seen = TypeVar("_Seen")
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


@dataclass(frozen=True, eq=False)
class Ground:
    """What is known of the pixels of one photo.

    Attributes:
        side: of a square of the same area, in the unit of the scale; None = unknown.
        is_square: whether a length in pixels has one length in the world.
        missing: (H, W) bool, pixels of a GeoTIFF without data; None = there are none.
    """

    side: float | None = None
    is_square: bool = True
    missing: NDArray[np.bool_] | None = None


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
    if found is None or not _SIDES[0] < side < _SIDES[1]:
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

    def ground(self, file: Path | str) -> Ground:
        """What is known of the pixels of a photo, of the first page of its file."""
        found = _look(file, _ground) or Ground()
        if self._given is not None:
            return replace(found, side=self._given.side, is_square=True)
        return found if self.unit else replace(found, side=None)


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
    found = {str(file): _look(file, _side) or (None, "") for file in sample}
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


def _look(file: Path | str, look: Callable[[Any], _Seen]) -> _Seen | None:
    """What a function finds in an opened raster; None if the file is none, or cannot be read."""
    library = _rasterio()
    if library is None or not str(file).lower().endswith(_TIFF):
        return None
    with local_copy(file) as path, warnings.catch_warnings(), library.Env(**_ALONE):
        for expected in (
            library.errors.NotGeoreferencedWarning,
            library.errors.NodataShadowWarning,
        ):
            warnings.simplefilter("ignore", expected)
        real = os.path.realpath(path)
        if real.startswith("/vsi"):
            return None
        try:
            with library.open(real, driver="GTiff") as raster:
                return look(raster)
        except (library.errors.RasterioError, library.errors.CRSError, OSError):
            return None  # the photo itself may be readable, or its message comes with it


def _ground(raster: Any) -> Ground:
    side, _ = _side(raster)
    return Ground(side, side is None or _is_square(raster.transform), _missing(raster))


def _is_square(transform: Any) -> bool:
    """Whether steps along rows and columns are equally long, and at right angles."""
    right, down = complex(transform.a, transform.d), complex(transform.b, transform.e)
    return min(abs(down - turned) for turned in (right * 1j, right * -1j)) < _SQUARE * abs(down)


def _side(raster: Any) -> tuple[float | None, str]:
    """The side of a pixel in metres, and why a file with coordinates has none."""
    if raster.crs is None and raster.gcps[1] is not None:
        return None, "positions are ground control points"
    if raster.crs is None or raster.transform.is_identity:
        return None, ""
    if raster.crs.is_geographic:
        return None, "coordinates are degrees"
    if name := _STRETCHED.get(raster.crs.to_dict().get("proj", "")):
        return None, f"coordinates are {name}, whose metres grow with the latitude"
    factor = raster.crs.linear_units_factor[1]
    side = math.sqrt(abs(raster.transform.determinant)) * factor
    return (side, "") if side > 0 else (None, "")


def _missing(raster: Any) -> NDArray[np.bool_] | None:
    """(H, W) bool, pixels of a map without data: by nodata value, mask, opacity, or NaN."""
    if raster.crs is None and raster.gcps[1] is None:
        return None
    if raster.count > 1 and raster.colorinterp[-1].name == "alpha":
        # GDAL would compare the opacity itself with the nodata value.
        values = np.moveaxis(raster.read(), 0, -1)
        opacity, colours = values[..., -1], values[..., :-1]
        shown = is_alpha(opacity, colours)  # else it is another colour, such as infrared
        there = opacity > 0 if shown else np.ones(opacity.shape, bool)
        if raster.nodata is not None:
            there &= (colours != raster.nodata).any(-1)
    else:
        there = raster.dataset_mask() > 0
    if raster.dtypes[0].startswith("float"):
        there &= np.any([np.isfinite(raster.read(band)) for band in raster.indexes], axis=0)
    return None if there.all() else ~there
