"""Small pictures that stand inside a page as text, each within a number of bytes."""

import base64
import io
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.report.palette import Colours

__all__ = ["colour_code", "data_uri", "fit_mask", "fit_photo", "heat_map", "text"]

_QUALITIES = (78, 66, 54, 42, 30, 18)
_LEAST_SIDE = 8  # pixels; nothing smaller is tried


def data_uri(kind: str, content: bytes) -> str:
    """A file as an address.

    Args:
        kind: its type, such as `image/png`.
        content: its bytes.

    Example:
        >>> data_uri("image/png", b"abc")
        'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def text(value: str) -> str:
    """A name as it may stand anywhere in HTML; bytes that are no text become question marks.

    Example:
        >>> text('<b> & "c"')
        '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(value.encode("utf-8", "replace").decode("utf-8"))


def colour_code(colour: Any) -> str:
    """`#rrggbb` of sRGB values, 0..255.

    Example:
        >>> colour_code((230, 159, 0))
        '#e69f00'
    """
    red, green, blue = (int(value) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def fit_photo(image: NDArray[np.uint8], limit: int) -> bytes:
    """A WebP file of at most `limit` bytes; quality, then size give way.

    Args:
        image: (H, W, 3) uint8 RGB.
        limit: most bytes. A picture of a few pixels may take more: about 100.
    """
    picture = Image.fromarray(image)
    while True:
        for quality in _QUALITIES:
            content = _saved(picture, "WEBP", quality=quality, method=4)
            if len(content) <= limit:
                return content
        if max(picture.size) <= _LEAST_SIDE:
            return content
        picture = picture.resize(_halved(picture.size), Image.Resampling.LANCZOS)


def fit_mask(mask: NDArray[Any], colours: Colours, limit: int) -> bytes:
    """A PNG file with a palette, of at most `limit` bytes; its size gives way.

    Args:
        mask: (H, W) ids, 0..N-1; others are transparent.
        colours: (N, 3) uint8 sRGB.
        limit: most bytes. A mask of a few pixels may take more: about 100.
    """
    while True:
        content = _mask_file(mask, colours)
        if len(content) <= limit or max(mask.shape) <= _LEAST_SIDE:
            return content
        mask = mask[::2, ::2]


def heat_map(heat: NDArray[np.float64]) -> bytes:
    """A PNG file in black of varying opacity; the largest value is opaque.

    Args:
        heat: (G, G), 0 or more.
    """
    most = float(heat.max()) or 1.0
    opacity = np.round(255 * heat / most).astype(np.uint8)
    return _saved(Image.fromarray(np.stack([np.zeros_like(opacity), opacity], -1), "LA"), "PNG")


def _mask_file(mask: NDArray[Any], colours: Colours) -> bytes:
    """The ids that occur get the first places of the palette; the transparent ones the last."""
    ids, places = np.unique(np.where(mask < 0, len(colours), mask), return_inverse=True)
    known = ids < len(colours)
    table = np.zeros((len(ids), 3), np.uint8)
    table[known] = colours[ids[known]]
    if len(ids) > 256:  # more than a palette holds: plain colours
        opacity = np.where(known, 255, 0).astype(np.uint8)
        rgba = np.concatenate([table, opacity[:, None]], axis=1)[places.reshape(mask.shape)]
        return _saved(Image.fromarray(rgba), "PNG", optimize=True)
    picture = Image.fromarray(places.reshape(mask.shape).astype(np.uint8))
    picture.putpalette(table.tobytes())
    clear = {} if known.all() else {"transparency": int(np.flatnonzero(~known)[0])}
    return _saved(picture, "PNG", optimize=True, **clear)


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 2), max(1, size[1] // 2)
