"""Decode TIFF files that Pillow cannot: deep, with many bands, with several pages.

Pillow drops half of the bits of deep colours, mistakes planes that are stored apart, and knows few
kinds of bands. The images of a TIFF are its pages, without thumbnails, overviews and masks. Pages
that are channels of one image (OME, ImageJ) are its bands.
"""

import functools
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from picie.data.opening import check_pixels, in_turn, turned
from picie.data.reading import Reading
from picie.data.stored import Stored
from picie.errors import DataError
from picie.runtime.files import open_regular

__all__ = [
    "TiffLayout",
    "is_tiff",
    "read_tiff",
    "tiff_head",
    "tiff_layout",
    "tiff_orientation",
    "tiff_size",
]

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_BYTES = 16  # decoded, per pixel of the limit
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5  # PhotometricInterpretation
_VALUES = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
_CFA = 32803
_JPEG = (6, 7, 33007)  # compressions whose decoder gives RGB
_ORIENTATION, _NODATA = 274, 42113  # tags


@dataclass(frozen=True)
class TiffLayout:
    """Where the images of a TIFF are.

    Attributes:
        images: for each image, the pages that it consists of, as positions in the file.
        channels: names of its channels; empty if its pages are no channels.
        offset: of the values of all images, one after the other, if the file has a single page for
            them (ImageJ, above 4 GB); else -1.
    """

    images: tuple[tuple[int, ...], ...]
    channels: tuple[str, ...] = ()
    offset: int = -1


def _library() -> Any:
    """The package tifffile, whose remarks on odd files are not shown."""
    import tifffile

    logger = logging.getLogger("tifffile")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return tifffile


def _open(file: BinaryIO) -> Any:
    # Other files that an OME file names are not opened.
    return _library().TiffFile(file, name="image.tif", _multifile=False)


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins so is a TIFF."""
    return head.startswith(_STARTS)


def tiff_layout(path: Path) -> TiffLayout:
    """Where the images of a TIFF are.

    Raises:
        Exception: of many kinds, if the file is broken.
    """
    status = os.stat(path)
    return _layout(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _layout(path: str, size: int, changed: int) -> TiffLayout:
    with open_regular(path) as file, _open(file) as tiff:
        layout = _channel_layout(tiff) if tiff.is_ome or tiff.is_imagej else None
        if layout is not None:
            return layout
        pages, seen = list[int](), set[int]()
        for place, page in enumerate(tiff.pages):
            if page.offset in seen:  # a broken chain of pages may lead back
                break
            seen.add(page.offset)
            if page.imagewidth and not int(page.subfiletype) & (_REDUCED | _MASK):
                pages.append(place)
    return TiffLayout(tuple((place,) for place in pages or [0]))


def _channel_layout(tiff: Any) -> TiffLayout | None:
    """The layout of an OME or ImageJ file; None if its pages are to be taken one by one."""
    try:
        series = tiff.series[0]
        inner = len(series.keyframe.axes)
        outer, shape = series.axes[:-inner], series.shape[:-inner]
        if not series.axes.endswith(series.keyframe.axes) or not outer:
            return None
        whole = len(series.pages) == math.prod(shape)
        if not whole and not tiff.is_imagej:
            return None
        places = np.arange(math.prod(shape)).reshape(shape)
        count = 1
        if "C" in outer:
            places = np.moveaxis(places, outer.index("C"), -1)
            count = places.shape[-1]
        if whole:
            found = np.array([page.index for page in series.pages])
            places, offset = found[places], -1
        else:
            offset = series.dataoffset
    except Exception:  # metadata of a program; the pages may be fine
        return None
    images = tuple(tuple(row) for row in places.reshape(-1, count).tolist())
    names = _channel_names(tiff, count) if count > 1 else ()
    return TiffLayout(images, names, -1 if offset is None else offset)


def _channel_names(tiff: Any, count: int) -> tuple[str, ...]:
    names: list[str] = []
    if tiff.is_ome:
        from xml.etree import ElementTree

        try:
            tree = ElementTree.fromstring(tiff.ome_metadata)
            image = next(one for one in tree.iter() if one.tag.endswith("}Image"))
            found = [one for one in image.iter() if one.tag.endswith("}Channel")]
            names = [one.get("Name") or "" for one in found]
        except (ElementTree.ParseError, StopIteration):
            names = []
    if len(names) != count or not all(names):
        return tuple(f"channel {number}" for number in range(1, count + 1))
    return tuple(names)


def tiff_head(path: Path) -> tuple[bool, int, bool, tuple[str, ...]]:
    """What the first page of a TIFF tells about the file.

    Returns:
        whether it has another sample type than 8 bits; the number of images; whether the last band
        is tagged as opacity; the names of its channels.

    Raises:
        Exception: of many kinds, if the file is broken.
    """
    with open_regular(path) as file, _open(file) as tiff:
        page = tiff.pages[0]
        channels = tiff.is_ome or tiff.is_imagej
        several = channels or _has_more(tiff)
        layout = tiff_layout(path) if several else TiffLayout(((0,),))
        deep = page.sampleformat != 1 or page.bitspersample > 8
        absolute = page.photometric == _CMYK or (page.photometric == _PALETTE)
        tagged = not layout.channels and _extra(page) > 0 and page.photometric in _VALUES
        return deep and not absolute, len(layout.images), tagged, layout.channels


def tiff_size(path: Path) -> tuple[int, int]:
    """(W, H) of the first page of a TIFF, as stored.

    Raises:
        Exception: of many kinds, if the file is broken.
    """
    with open_regular(path) as file, _open(file) as tiff:
        return _size(tiff.pages[0])


def read_tiff(path: Path, file: BinaryIO, reading: Reading, number: int = 0) -> Stored | None:
    """Decode an image of a TIFF.

    Args:
        path: the file.
        file: the same, opened.
        reading: bands and limit.
        number: of the image, from 0.

    Returns:
        None if Pillow reads it well.

    Raises:
        DataError: too many pixels, or no such image.
        ValueError: it cannot be shown as an image. Broken files raise many kinds of errors.
    """
    try:
        tiff = _open(file)
        page = tiff.pages[0]
    except Exception:  # Pillow may read it, or says what is wrong
        return None
    several = number > 0 or tiff.is_ome or tiff.is_imagej
    layout = tiff_layout(path) if several else TiffLayout(((0,),))
    if number >= len(layout.images):
        count = len(layout.images)
        raise DataError(
            f"{path}: has {count} page{'s' * (count != 1)}; there is no page {number + 1}"
        )
    places = layout.images[number]
    if layout.offset < 0:
        page = tiff.pages[places[0]]
    size = _size(page)
    check_pixels(path, size, reading.max_pixels)
    if layout.offset < 0 and not layout.channels and _is_plain(page, reading):
        return None
    _check_bytes(path, page, len(places), reading)
    with in_turn(size):
        if layout.offset < 0:
            planes = [_values(tiff.pages[place]) for place in places]
        else:
            planes = [_plane(tiff, page, layout.offset, place) for place in places]
        return _finish(page, planes, channels=bool(layout.channels))


def _size(page: Any) -> tuple[int, int]:
    """(W, H).

    Raises:
        ValueError: a number of the header is a list of numbers, whose products would be huge.
    """
    numbers = (page.imagewidth, page.imagelength, page.imagedepth, page.samplesperpixel)
    tile = (page.tilewidth, page.tilelength, page.tiledepth)
    if not all(isinstance(number, int) and number >= 0 for number in (*numbers, *tile)):
        raise ValueError("its header is damaged")
    return page.imagewidth, page.imagelength


def _is_plain(page: Any, reading: Reading) -> bool:
    """Whether Pillow reads a page well: bytes, and of bands only those of its colours."""
    if page.sampleformat != 1 or page.bitspersample > 8:
        return False
    if page.compression not in TiffImagePlugin.COMPRESSION_INFO:
        return False
    if page.photometric not in _VALUES:
        return True
    colours = 3 if page.photometric == _RGB else 1
    return page.samplesperpixel == colours and not reading.bands


def _check_bytes(path: Path, page: Any, count: int, reading: Reading) -> None:
    """Refuse what takes far more memory than its pixels tell."""
    tile = page.tilewidth * page.tilelength * max(page.tiledepth, 1) if page.is_tiled else 0
    planes = page.imagedepth * page.samplesperpixel * count
    size = 8 if page.dtype is None else page.dtype.itemsize
    total = max(page.imagewidth * page.imagelength, tile) * planes * size
    if total > _MOST_BYTES * reading.max_pixels:
        raise DataError(
            f"{path}: takes {total / 1e9:.1f} GB of memory, {planes} bands of {page.imagewidth} x "
            f"{page.imagelength} pixels; raise --max-pixels if there is as much, or keep fewer "
            "bands"
        )


def _values(page: Any) -> NDArray[Any]:
    """(H, W, B) values of a page, as stored."""
    if page.dtype is None or page.dtype.kind not in "iufb":
        raise ValueError(f"it holds {_described(page)}, which cannot be shown")
    axes = page.axes
    values: NDArray[Any] = page.asarray(maxworkers=1)
    if axes == "SYX":
        return values.transpose(1, 2, 0)
    if axes not in ("YX", "YXS"):
        raise ValueError(f"it holds a volume, {axes} = {values.shape}; save its slices as pages")
    return values[..., None] if axes == "YX" else values


def _plane(tiff: Any, page: Any, offset: int, place: int) -> NDArray[Any]:
    """(H, W, B) of one image of a file whose images follow one another."""
    size = math.prod(page.shape)
    start = offset + place * size * page.dtype.itemsize
    kind = page.dtype.newbyteorder(tiff.byteorder)
    values: NDArray[Any] = tiff.filehandle.read_array(kind, count=size, offset=start)
    return values.reshape(page.shape if page.axes == "YXS" else (*page.shape, 1))


def _finish(page: Any, planes: list[NDArray[Any]], *, channels: bool) -> Stored:
    values = planes[0] if len(planes) == 1 else np.concatenate(planes, 2)
    if values.ndim != 3 or not values.size:
        raise ValueError("it has no pixels")
    bits, photometric = int(page.bitspersample), page.photometric
    if photometric == _PALETTE and page.colormap is not None:
        values = page.colormap[:, values[..., 0]].transpose(1, 2, 0)
    elif photometric not in (*_VALUES, _CMYK, _CFA) and page.compression not in _JPEG:
        raise ValueError(f"it holds {_described(page)}, which cannot be shown")
    elif bits < 8:
        values, bits = values.astype(np.uint8) * np.uint8(255 // (2**bits - 1)), 8
    if photometric == _WHITE_IS_ZERO and values.dtype.kind == "u":
        values = values.dtype.type(2**bits - 1) - values
    inks = photometric == _CMYK and values.shape[2] >= 4
    extra = 0 if channels or inks else _extra(page)
    return Stored(
        np.ascontiguousarray(turned(values, _orientation(page))),
        "tagged" if extra else "",
        premultiplied=extra == 1,
        bits=bits if bits < 8 * values.dtype.itemsize else 0,
        nodata=float(page.nodata) if _NODATA in page.tags else None,
        absolute=inks or photometric == _PALETTE,
        inks=inks,
        channels=channels,
    )


def _extra(page: Any) -> int:
    """What the last band is tagged as: 0 = a colour, 1 or 2 = opacity, multiplied (1) or not.

    A fourth band of RGB without a tag is opacity by custom.
    """
    if page.extrasamples:
        extra = int(page.extrasamples[-1])
        return extra if extra in (1, 2) else 0
    return 2 if page.photometric == _RGB and page.samplesperpixel == 4 else 0


def _orientation(page: Any) -> int:
    orientation = page.tags.valueof(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _has_more(tiff: Any) -> bool:
    """Whether there is a second page."""
    try:
        tiff.pages[1]
    except IndexError:
        return False
    return True


def _described(page: Any) -> str:
    """The kind of a page in words."""
    kind = getattr(page.photometric, "name", page.photometric)
    return f"{kind} of {page.bitspersample} bits ({page.dtype or 'an unknown type'})"


def tiff_orientation(path: Path) -> int:
    """EXIF orientation 1..8 of a TIFF.

    Raises:
        Exception: of many kinds, if the file is broken.
    """
    with open_regular(path) as file, _open(file) as tiff:
        return _orientation(tiff.pages[0])
