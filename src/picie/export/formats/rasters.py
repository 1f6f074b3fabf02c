"""Predict georeferenced rasters of any size, window by window.

GDAL, the library behind rasterio, has drivers for many formats, which it tries by content, and some
of them read what a file refers to: other files, or addresses on the network. Only its GeoTIFF
driver is used here, without the files beside a raster, except for its mask.
"""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.data.images import network_size
from picie.data.reading import Reading, Sample, choose, to_bytes
from picie.data.stored import is_alpha
from picie.data.survey import opacity_note, spread, stretch_note
from picie.errors import ConfigError, DataError, MissingExtraError
from picie.inference.segmenter import Segmenter
from picie.postprocessing.tiling import Strip, Tile, cut, strips
from picie.postprocessing.upsampling import Mask, Span, upsample_part
from picie.runtime.files import open_regular
from picie.runtime.storage import local_copy
from picie.types import IGNORED

__all__ = ["Block", "Raster", "RasterView", "masks_of", "open_raster", "rasterio", "settled"]

_ACROSS = 8  # tiles side by side in memory: 100 MB of logits for 64 classes
_SAMPLE = 1024  # longer side in pixels of the sample for the automatic stretch
_SAMPLES = 32  # most rasters that choose it
_DRIVER = "GTiff"
_ALONE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no overviews or world files beside it
    "GDAL_PAM_ENABLED": "NO",  # nor .aux.xml
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
}
_MOST_PIXELS = 10**10
_MOST_BANDS = 1000
_MOST_BLOCK = 2**30  # bytes that must be decoded at once


@dataclass(frozen=True)
class RasterView:
    """How the network sees rasters.

    Attributes:
        bands: three bands, from 1, as red, green and blue, or one as grey; () = the first three, or
            the first if there are fewer.
        stretch: values that become black and white, except in bytes, which stay as they are; None
            = chosen for each raster by the rule for images.
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
        ids: (rows, columns) as `Mask`; IGNORED for ignored classes and pixels without data.
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
        mask: an open dataset, the mask file beside it (.msk); None if there is none.
        missing: values that stand for missing data, although the file does not say so.
        colours_only: whether a band is tagged as opacity that holds something else.
    """

    file: Any
    bands: tuple[int, ...]
    stretch: tuple[float, float] | None
    mask: Any = None
    missing: tuple[float, ...] = ()
    colours_only: bool = False

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
            values = to_bytes(values, self.stretch, self.file.nodata)
        return np.broadcast_to(values, (3, *size))

    def valid(self, window: Any) -> NDArray[np.bool_]:
        """(rows, columns) bool, pixels of a window with data, by mask, alpha or nodata value."""
        with _reading(self.file.name):
            there: NDArray[np.bool_]
            tagged = _last_is_alpha(self.file)
            if not tagged:
                there = self.file.dataset_mask(window=window) > 0
            elif not self.colours_only:
                there = self.file.read(self.file.count, window=window) > 0
            else:
                height, width = round(window.height), round(window.width)
                there = np.ones((height, width), bool)
            if self.mask is not None:
                there &= self.mask.read(1, window=window) > 0
            # Of an opacity, GDAL would compare its own values with the nodata value.
            nodata = (self.file.nodata,) if tagged else ()
            absent = [value for value in (*nodata, *self.missing) if value is not None]
            floats = any(np.issubdtype(kind, np.floating) for kind in self.file.dtypes)
            if floats or absent:
                values = self.file.read(list(self.bands), window=window)
                there &= np.isfinite(values).all(0)
                for value in absent:
                    there &= (values != value).any(0)
        return there


@contextmanager
def open_raster(path: Path, raster_view: RasterView) -> Iterator[Raster]:
    """Open a georeferenced raster.

    Raises:
        DataError: it cannot be read, or lacks a coordinate system or the wanted bands.
        MissingExtraError: rasterio is missing.
    """
    library = rasterio()
    with warnings.catch_warnings(), library.Env(**_ALONE), ExitStack() as files:
        for name in ("NotGeoreferencedWarning", "NodataShadowWarning"):
            warnings.simplefilter("ignore", getattr(library.errors, name))
        with _reading(path):
            file = files.enter_context(_open(path))
            _check_place(path, file)
            beside = path.with_name(f"{path.name}.msk")
            mask = files.enter_context(_open(beside)) if beside.exists() else None
            if mask is not None and mask.shape != file.shape:
                raise DataError(f"{beside}: has another size than {path.name}; remove it")
        bands = raster_view.bands or ((1, 2, 3) if file.count >= 3 else (1,))
        if max(bands) > file.count:
            raise DataError(
                f"{path}: has {file.count} bands, but --bands asks for {max(bands)}; choose others"
            )
        kinds = {file.dtypes[band - 1] for band in bands}
        if any(kind.startswith("complex") for kind in kinds):
            raise DataError(f"{path}: contains complex numbers, which cannot be shown as an image")
        stretch: tuple[float, float] | None = None
        missing: tuple[float, ...] = ()
        if kinds != {"uint8"}:
            choice = choose([_sample(file, bands, path)])
            stretch, missing = raster_view.stretch or choice.stretch, choice.fills
        yield Raster(file, bands, stretch, mask, missing, _colours_only(file, path))


def _open(path: Path) -> Any:
    """An open GeoTIFF that stands alone and is not too large.

    Raises:
        DataError: another format, a reference to other files, or a size that needs too much memory.
        OSError: it cannot be read.
    """
    real = os.path.realpath(path)
    open_regular(Path(real)).close()
    if real.startswith("/vsi"):
        raise DataError(f"{path}: has a path that GDAL takes for a virtual one; move it")
    try:
        file = rasterio().open(real, driver=_DRIVER)
    except rasterio().errors.RasterioIOError as error:
        if "not recognized" in str(error):
            raise OSError("it is not a GeoTIFF: gdal_translate converts other rasters") from None
        raise
    try:
        _check_content(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _check_content(path: Path, file: Any) -> None:
    if file.tags(ns="OVERVIEWS"):
        raise DataError(
            f"{path}: refers to another file with its overviews, which is not opened; write it "
            "anew (gdal_translate)"
        )
    if file.width * file.height > _MOST_PIXELS:
        raise DataError(
            f"{path}: has {file.width} x {file.height} pixels, more than {_MOST_PIXELS:,}; cut it "
            "into parts (gdal_retile.py)"
        )
    if file.count > _MOST_BANDS:
        raise DataError(
            f"{path}: has {file.count} bands, more than {_MOST_BANDS}; take those of a picture "
            "(gdal_translate -b)"
        )
    together = 1 if file.interleaving == rasterio().enums.Interleaving.band else file.count
    height, width = file.block_shapes[0]
    size = height * width * np.dtype(file.dtypes[0]).itemsize * together
    if size > _MOST_BLOCK:
        raise DataError(
            f"{path}: is stored in blocks of {size / 2**30:.1f} GiB, more than 1 GiB; write it "
            "anew in small ones (gdal_translate -co TILED=YES)"
        )


def _check_place(path: Path, file: Any) -> None:
    beside = [
        other.name
        for other in (path.with_name(f"{path.name}.aux.xml"), path.with_suffix(".tfw"))
        if other.exists()
    ]
    unread = f" ({' and '.join(beside)} beside it: not read)" if beside else ""
    if file.crs is None and file.gcps[1] is None:
        raise DataError(
            f"{path}: has no coordinate system; give it one (gdal_edit.py -a_srs), or export it "
            f"with --format png{unread}"
        )
    if file.crs is not None and file.transform.is_identity:
        raise DataError(
            f"{path}: has a coordinate system, but no transform; give it one (gdal_edit.py "
            f"-a_ullr, or gdal_translate with its world file){unread}"
        )


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
    if empty:
        return Block(rows.start, columns.start, np.empty((0, 0), np.int16), share)
    ids = upsample_part(strip.logits, rows, columns)
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


def _sample(file: Any, bands: tuple[int, ...], path: Path) -> Sample:
    """Values of a raster, evenly spaced, without its nodata."""
    with _reading(path):
        values = file.read(list(bands), out_shape=(len(bands), *_small(file)), masked=True)
    finite = np.ma.masked_invalid(values).compressed().astype(np.float64)
    return Sample(str(path), file.dtypes[bands[0] - 1], finite)


def _small(file: Any) -> list[int]:
    scale = min(1.0, _SAMPLE / max(file.shape))
    return [max(1, math.floor(side * scale)) for side in file.shape]


def _colours_only(file: Any, path: Path) -> bool:
    """Whether the last band is tagged as opacity, but holds something else, such as infrared."""
    if not _last_is_alpha(file):
        return False
    with _reading(path):
        values = np.moveaxis(file.read(out_shape=(file.count, *_small(file))), 0, 2)
    return not is_alpha(values[..., -1], values[..., :-1])


def settled(
    raster_view: RasterView, reading: Reading, paths: Sequence[Path | str]
) -> tuple[RasterView, list[str]]:
    """How all rasters of an export are seen, and what a user must know about it.

    Args:
        raster_view: what it leaves open comes from the reading.
        reading: of the model; what it leaves open comes from a sample of the rasters.
        paths: paths or addresses of the rasters; those that cannot be read are not in the sample.
    """
    view = replace(
        raster_view,
        bands=raster_view.bands or reading.bands,
        stretch=raster_view.stretch or reading.stretch,
    )
    samples, wrong = list[Sample](), ""
    for path in spread(paths, _SAMPLES):
        try:
            with local_copy(path) as copy, open_raster(copy, view) as raster:
                if raster.stretch is not None:
                    samples.append(_sample(raster.file, raster.bands, copy))
                if raster.colours_only and not wrong:
                    wrong = PurePath(path).name
        except DataError:
            continue
    notes = []
    if samples and view.stretch is None:
        choice = choose(samples)
        notes.append(stretch_note(choice))
        view = replace(view, stretch=choice.stretch)
    if wrong and not view.bands:
        notes.append(opacity_note(wrong))
    return view, notes


def _last_is_alpha(file: Any) -> bool:
    """Whether the last band is tagged as opacity."""
    alpha = rasterio().enums.ColorInterp.alpha
    return bool(file.count > 1 and file.colorinterp[-1] == alpha)


@contextmanager
def _reading(path: object) -> Iterator[None]:
    """Convert errors of the input file, so that they are not taken for errors of the output."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # broken files lead to many kinds of errors
        raise DataError(
            f"{path}: cannot be read as a raster ({error}); replace or remove it"
        ) from error
