"""Small images that stand inside a page as text, each within a number of bytes."""

import base64
import io
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.visualization.palette import Colours

__all__ = [
    "PATCH_SIDE",
    "colour_code",
    "cut_patch",
    "data_uri",
    "fit_mask",
    "fit_photo",
    "heat_map",
    "text",
]

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
        limit: most bytes. An image of a few pixels may take more: about 100.
    """
    shrunk = Image.fromarray(image)
    while True:
        for quality in _QUALITIES:
            content = _saved(shrunk, "WEBP", quality=quality, method=4)
            if len(content) <= limit:
                return content
        if max(shrunk.size) <= _LEAST_SIDE:
            return content
        shrunk = shrunk.resize(_halved(shrunk.size), Image.Resampling.LANCZOS)


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
    image = Image.fromarray(places.reshape(mask.shape).astype(np.uint8))
    image.putpalette(table.tobytes())
    clear = {} if known.all() else {"transparency": int(np.flatnonzero(~known)[0])}
    return _saved(image, "PNG", optimize=True, **clear)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 2), max(1, size[1] // 2)


PATCH_SIDE = 112
"""Side of a piece in pixels."""

_PART = 1 / 3  # of the short side of the photo
_SHADE = 0.45  # share of black beside the line, so that it shows on white too
_RING = (3.5, 5.0)  # radii of the mark around the pixel


def cut_patch(
    image: NDArray[np.uint8],
    belongs: NDArray[np.bool_],
    centre: tuple[float, float],
    limit: int,
) -> bytes:
    """A square piece of a photo, a third of its short side wide, as a WebP file.

    A white line follows the border of the cluster, a white ring marks the pixel. Near the border of
    the photo the piece is moved inwards, and the pixel is not in its middle.

    Args:
        image: (H, W, 3) uint8 RGB.
        belongs: (h, w) where the cluster is, at any resolution.
        centre: place of the pixel as shares of height and width, 0..1.
        limit: most bytes of the file.
    """
    height, width = image.shape[:2]
    side = max(1.0, min(height, width) * _PART)
    top, left = (
        min(max(share * length - side / 2, 0.0), length - side)
        for share, length in zip(centre, (height, width), strict=True)
    )
    box = (left, top, left + side, top + side)
    patch = Image.fromarray(image).resize(
        (PATCH_SIDE, PATCH_SIDE), Image.Resampling.BILINEAR, box, reducing_gap=2.0
    )
    steps = (np.arange(PATCH_SIDE) + 0.5) / PATCH_SIDE * side
    rows = ((top + steps) / height * belongs.shape[0]).astype(np.int64)
    columns = ((left + steps) / width * belongs.shape[1]).astype(np.int64)
    own = belongs[np.ix_(rows.clip(0, len(belongs) - 1), columns.clip(0, belongs.shape[1] - 1))]
    pixel = tuple(
        (share * length - start) / side * PATCH_SIDE
        for share, length, start in zip(centre, (height, width), (top, left), strict=True)
    )
    return fit_photo(_marked(np.array(patch), own, pixel), limit)


def _marked(
    piece: NDArray[np.uint8], own: NDArray[np.bool_], pixel: tuple[float, ...]
) -> NDArray[np.uint8]:
    down, across = np.ogrid[:PATCH_SIDE, :PATCH_SIDE]
    away = np.hypot(down + 0.5 - pixel[0], across + 0.5 - pixel[1])
    ring = (away >= _RING[0]) & (away < _RING[1])
    around = ((away >= _RING[0] - 1) & (away < _RING[1] + 1)) & ~ring
    shaded = piece.astype(float)
    shaded[(_grown(own) & ~own) | around] *= 1 - _SHADE
    white = (own & _grown(~own)) | ring
    shaded[white] = 255
    return shaded.round().astype(np.uint8)


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The area and the pixels beside it."""
    grown = area.copy()
    grown[1:] |= area[:-1]
    grown[:-1] |= area[1:]
    grown[:, 1:] |= area[:, :-1]
    grown[:, :-1] |= area[:, 1:]
    return grown
