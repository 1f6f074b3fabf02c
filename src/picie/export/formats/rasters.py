"""Predict georeferenced rasters of any size, window by window."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.data.images import network_size
from picie.errors import ConfigError, DataError, MissingExtraError
from picie.inference.segmenter import Segmenter
from picie.postprocessing.tiling import Strip, Tile, cut, strips
from picie.postprocessing.upsampling import Mask, Span, upsample_part
from picie.types import IGNORED

__all__ = ["Block", "Raster", "RasterView", "masks_of", "open_raster", "rasterio"]

_ACROSS = 8  # tiles side by side in memory: 100 MB of logits for 64 classes
_SAMPLE = 1024  # longer side in pixels of the sample for the automatic stretch
_PER_CENT = (2, 98)


@dataclass(frozen=True)
class RasterView:
    """How the network sees rasters.

    Attributes:
        bands: three bands, from 1, as red, green and blue, or one as grey; () = the first three, or
            the first if there are fewer.
        stretch: values that become black and white; None = as stored for bytes, else the 2nd and
            98th percentile of a sample of each raster.
        size: short side in pixels at which the network sees a raster, a multiple of 32; None = its
            own resolution, rounded to multiples of 32.
        tile: longest side processed at once, in pixels; 0 = never tile.

    Raises:
        ConfigError: neither one nor three bands, or a stretch whose values do not increase.
    """

    bands: tuple[int, ...] = ()
    stretch: tuple[float, float] | None = None
    size: int | None = None
    tile: int = 1024

    def __post_init__(self) -> None:
        if len(self.bands) not in (0, 1, 3) or min(self.bands, default=1) < 1:
            raise ConfigError(
                f"--bands {' '.join(map(str, self.bands))}: give three bands (red green blue) or "
                "one, counted from 1"
            )
        if self.stretch is not None and not self.stretch[0] < self.stretch[1]:
            low, high = self.stretch
            raise ConfigError(f"--stretch {low:g} {high:g}: the second value must be the larger")


@dataclass(frozen=True, eq=False)
class Block:
    """Ids of a part of a raster.

    Attributes:
        top: its first row.
        left: its first column.
        ids: (rows, columns) int64; IGNORED for ignored classes and pixels without data.
        share: finished share of the whole raster, including this block, 0..1.
    """

    top: int
    left: int
    ids: Mask
    share: float


@dataclass(frozen=True, eq=False)
class Raster:
    """An opened raster, and how its bands become an image.

    Attributes:
        file: an open rasterio dataset.
        bands: one or three.
        stretch: values that become 0 and 255; None = unchanged.
    """

    file: Any
    bands: tuple[int, ...]
    stretch: tuple[float, float] | None

    def shown(self, window: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(3, *size) uint8 of a window, resampled bilinearly; NaN becomes 0."""
        with _reading(self.file.name):
            values = self.file.read(
                list(self.bands),
                window=window,
                out_shape=(len(self.bands), *size),
                resampling=rasterio().enums.Resampling.bilinear,
            )
        if self.stretch is not None:
            low, high = self.stretch
            values = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / (high - low) * 255
        levels = np.rint(values).clip(0, 255).astype(np.uint8)
        return np.broadcast_to(levels, (3, *size))

    def valid(self, window: Any) -> NDArray[np.bool_]:
        """(rows, columns) bool, pixels of a window with data, by mask, alpha or nodata value."""
        with _reading(self.file.name):
            there: NDArray[np.bool_] = self.file.dataset_mask(window=window) > 0
            if any(np.issubdtype(kind, np.floating) for kind in self.file.dtypes):
                values = self.file.read(list(self.bands), window=window)
                there &= np.isfinite(values).all(0)
        return there


@contextmanager
def open_raster(path: Path, raster_view: RasterView) -> Iterator[Raster]:
    """Open a georeferenced raster.

    Raises:
        DataError: it cannot be read, or lacks a coordinate system or the wanted bands.
        MissingExtraError: rasterio is missing.
    """
    library = rasterio()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library.errors.NotGeoreferencedWarning)
        with _reading(path):
            file = library.open(path)
        with file:
            if file.crs is None and file.gcps[1] is None:
                raise DataError(
                    f"{path}: has no coordinate system; give it one (gdal_edit.py -a_srs), or "
                    "export it with --format png"
                )
            bands = raster_view.bands or ((1, 2, 3) if file.count >= 3 else (1,))
            if max(bands) > file.count:
                raise DataError(
                    f"{path}: has {file.count} bands, but --bands asks for {max(bands)}; choose "
                    "others"
                )
            kinds = {file.dtypes[band - 1] for band in bands}
            if any(kind.startswith("complex") for kind in kinds):
                raise DataError(
                    f"{path}: contains complex numbers, which cannot be shown as an image"
                )
            stretch = raster_view.stretch
            if stretch is None and kinds != {"uint8"}:
                stretch = _percentiles(file, bands, path)
            yield Raster(file, bands, stretch)


def masks_of(model: Segmenter, raster: Raster, raster_view: RasterView) -> Iterator[Block]:
    """Ids of a raster, in disjoint blocks that cover it.

    Logits of overlapping tiles are blended as for any large image, and upsampled as if they were
    one map. Memory does not grow with the raster.

    Args:
        model: a trained model.
        raster: opened.
        raster_view: size and tile.

    Raises:
        DataError: the file is damaged.
    """
    full = (raster.file.height, raster.file.width)
    if raster_view.size is None:
        grid = tuple(32 * max(1, round(side / 32)) for side in full)
    else:
        grid = network_size(*full, raster_view.size)
    size = (grid[0], grid[1])
    tile = raster_view.tile or max(size)
    tiles = sum(1 for _ in _needed(size, tile))
    done = 0

    def logits(part: Tile) -> Tensor:
        nonlocal done
        done += 1
        pixels = raster.shown(_window(part, size, full), part[2:])
        image = torch.from_numpy(pixels.copy())[None].to(model.device).float().div_(255)
        return model.logits(image)[0]

    for strip in strips(logits, size, tile, _ACROSS):
        block = _block(strip, size, full, done / tiles)
        if block.ids.size:
            block.ids[block.ids >= model.clusters] = IGNORED  # the last channel of the logits
            window = _pixels(block)
            block.ids[~raster.valid(window)] = IGNORED
            yield block


def rasterio() -> Any:
    """The package rasterio.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import rasterio
        import rasterio.enums
        import rasterio.errors
        import rasterio.features
        import rasterio.windows
    except ImportError:
        raise MissingExtraError(
            'picie export --format geotiff needs rasterio: pip install "picie[geo]"'
        ) from None
    return rasterio


def _needed(size: tuple[int, int], tile: int) -> Iterator[None]:
    """One item for each tile that `strips` requests."""
    tops, lefts = (cut(side, tile)[0] for side in size)
    again = -(-len(lefts) // _ACROSS) - 1  # columns of tiles that are computed twice
    yield from [None] * (len(tops) * (len(lefts) + again))


def _block(strip: Strip, size: tuple[int, int], full: tuple[int, int], share: float) -> Block:
    spans = []
    for cells, first, pixels, side in (
        (strip.rows, strip.top, full[0], size[0]),
        (strip.columns, strip.left, full[1], size[1]),
    ):
        count = side // strip.stride
        # The pixels whose centres lie in these cells.
        start, stop = (-(-(2 * cell * pixels - count) // (2 * count)) for cell in cells)
        spans.append(Span(count, first, pixels, start, stop))
    rows, columns = spans
    empty = rows.start == rows.stop or columns.start == columns.stop
    ids = np.empty((0, 0), np.int64) if empty else upsample_part(strip.logits, rows, columns)
    return Block(rows.start, columns.start, ids, share)


def _window(part: Tile, size: tuple[int, int], full: tuple[int, int]) -> Any:
    """The window of the raster that a tile of the network's grid covers."""
    top, left, height, width = part
    rows, columns = (f / s for f, s in zip(full, size, strict=True))
    return rasterio().windows.Window(
        left * columns,
        top * rows,
        min(width * columns, full[1] - left * columns),
        min(height * rows, full[0] - top * rows),
    )


def _pixels(block: Block) -> Any:
    height, width = block.ids.shape
    return rasterio().windows.Window(block.left, block.top, width, height)


def _percentiles(file: Any, bands: tuple[int, ...], path: Path) -> tuple[float, float]:
    """The 2nd and 98th percentile of the valid pixels of a sample."""
    scale = min(1.0, _SAMPLE / max(file.shape))
    size = tuple(max(1, math.floor(side * scale)) for side in file.shape)
    with _reading(path):
        values = file.read(list(bands), out_shape=(len(bands), *size), masked=True)
    finite = np.ma.masked_invalid(values).compressed().astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, _PER_CENT).tolist()
    return (low, high) if low < high else (low, low + 1)


@contextmanager
def _reading(path: object) -> Iterator[None]:
    """Convert OSError of the input file, so that it is not taken for an error of the output."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read as a raster ({error}); replace or remove it"
        ) from error
