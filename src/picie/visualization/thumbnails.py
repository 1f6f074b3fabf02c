"""Small images of limited file size, to embed in an HTML page as data URIs."""

import base64
import io
from html import escape
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.runtime.printable import printable
from picie.visualization.palette import Colours

__all__ = [
    "PATCH_SIDE",
    "Box",
    "colour_code",
    "cut_patch",
    "data_uri",
    "fit_mask",
    "fit_photo",
    "heat_map",
    "marked_patch",
    "patch_pixels",
    "patch_values",
    "smooth",
    "text",
    "veil",
]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_Value = TypeVar("_Value", bound=np.generic)
_QUALITIES = (78, 66, 54, 42, 30, 18)
_LEAST_SIDE = 8  # pixels; images are not downscaled further


def data_uri(kind: str, content: bytes) -> str:
    """A file as a data URI.

    Args:
        kind: its media type, for example `image/png`.
        content: its bytes.

    Example:
        >>> data_uri("image/png", b"abc")
        'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def text(value: str) -> str:
    """Escape a name for HTML text and attributes, and control characters as in `printable`.

    Example:
        >>> text('<b> & "c"')
        '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(printable(value))


def colour_code(colour: Any) -> str:
    """`#rrggbb` of sRGB values, 0..255.

    Example:
        >>> colour_code((230, 159, 0))
        '#e69f00'
    """
    red, green, blue = (int(value) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def fit_photo(image: NDArray[np.uint8], limit: int) -> bytes:
    """A WebP file of at most `limit` bytes; reduces quality first, then size.

    Args:
        image: (H, W, 3) uint8 RGB.
        limit: maximum number of bytes. Even an image of a few pixels takes about 100.
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
    """A PNG file of at most `limit` bytes; reduces the size of the mask.

    Args:
        mask: (H, W) ids, 0..N-1; other values are transparent.
        colours: (N, 3) uint8 sRGB.
        limit: maximum number of bytes. Even a mask of a few pixels takes about 100.
    """
    while True:
        content = _mask_file(mask, colours)
        if len(content) <= limit or max(mask.shape) <= _LEAST_SIDE:
            return content
        mask = mask[::2, ::2]


def heat_map(heat: NDArray[np.float64]) -> bytes:
    """A PNG file in black, with opacity proportional to the values; the largest is opaque.

    Args:
        heat: (G, G), 0 or more.
    """
    most = float(heat.max()) or 1.0
    opacity = np.round(255 * heat / most).astype(np.uint8)
    return _saved(Image.fromarray(np.stack([np.zeros_like(opacity), opacity], -1), "LA"), "PNG")


def _mask_file(mask: NDArray[Any], colours: Colours) -> bytes:
    """A palette PNG of the ids that occur, with the transparent entry last."""
    ids, places = np.unique(np.where(mask < 0, len(colours), mask), return_inverse=True)
    known = ids < len(colours)
    table = np.zeros((len(ids), 3), np.uint8)
    table[known] = colours[ids[known]]
    if len(ids) > 256:  # too many for a palette: RGBA
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
"""Side of a patch in pixels."""

_PART = 1 / 3  # side of a patch relative to the short side of the photo
# Red, green, blue, opacity. Photos are dark, bright, grey or colourful: hence a tint and hatching.
_TINT, _HATCH = (150, 125, 205, 155), (75, 45, 135, 175)
_BRIGHT, _DARK = (255, 255, 255, 240), (25, 10, 50, 235)  # two lines, so that one is visible
_THIN = 115  # of 255, a little less than half, so that parts as thin as a cell stay
_HATCHES = 8  # pixels from one line of the hatching to the next
_SHADE = 0.45  # opacity of the black around the ring, so that it is visible on white
_RING = (3.5, 5.0)  # inner and outer radius of the ring around the pixel


def cut_patch(
    image: NDArray[np.uint8],
    belongs: NDArray[np.bool_],
    centre: tuple[float, float],
    limit: int,
) -> bytes:
    """A square patch of a photo around a pixel, a third of its short side wide, as a WebP file.

    What is outside the cluster is veiled, and a white ring marks the pixel. Near the border of the
    photo the patch is moved inwards, so the pixel is not in its centre.

    Args:
        image: (H, W, 3) uint8 RGB.
        belongs: (h, w) mask of the cluster, at any resolution.
        centre: position of the pixel as fractions of height and width, 0..1.
        limit: maximum size of the file in bytes.
    """
    return fit_photo(marked_patch(image, belongs, centre), limit)


def marked_patch(
    image: NDArray[np.uint8], belongs: NDArray[np.bool_], centre: tuple[float, float]
) -> NDArray[np.uint8]:
    """The pixels of `cut_patch`, (112, 112, 3) uint8 RGB; its arguments are the same."""
    top, left, side = _square(image.shape, centre)
    pixel = tuple(
        (share * length - start) / side * PATCH_SIDE
        for share, length, start in zip(centre, image.shape, (top, left), strict=False)
    )
    inside = smooth(*patch_values(belongs, image.shape, centre), PATCH_SIDE)
    photo = Image.fromarray(patch_pixels(image, centre)).convert("RGBA")
    veiled = Image.alpha_composite(photo, Image.fromarray(_over(inside))).convert("RGB")
    return _ringed(np.array(veiled), pixel)


def patch_pixels(image: NDArray[np.uint8], centre: tuple[float, float]) -> NDArray[np.uint8]:
    """(112, 112, 3) uint8 RGB, the patch of `cut_patch` without marks; its arguments as there."""
    top, left, side = _square(image.shape, centre)
    margin = 2 + int(2 * side / PATCH_SIDE)  # as far as the filter reaches
    first_row, first_column = (max(0, int(start) - margin) for start in (top, left))
    last_row, last_column = (int(start + side) + margin + 1 for start in (top, left))
    part = np.ascontiguousarray(image[first_row:last_row, first_column:last_column])
    x, y = left - first_column, top - first_row
    box = (x, y, min(x + side, part.shape[1]), min(y + side, part.shape[0]))
    patch = Image.fromarray(part).resize(
        (PATCH_SIDE, PATCH_SIDE), Image.Resampling.BILINEAR, box, reducing_gap=2.0
    )
    return np.array(patch)


def patch_values(
    values: NDArray[_Value], shape: tuple[int, ...], centre: tuple[float, float]
) -> tuple[NDArray[_Value], Box]:
    """The part of a map of a photo that the patch around a pixel needs, and the patch in it.

    Args:
        values: (h, w) map, at any resolution.
        shape: (H, W, ...) of the photo.
        centre: position of the pixel as fractions of height and width, 0..1.

    Returns:
        (a, b) cells, a copy, and left, top, right and bottom of the patch in them.
    """
    top, left, side = _square(shape, centre)
    slices, ends = [], []
    for start, length, cells in zip((top, left), shape, values.shape, strict=False):
        low, high = (min(at / length * cells, float(cells)) for at in (start, start + side))
        first = max(0, int(low) - 1)  # one more on each side, to interpolate
        slices.append(slice(first, min(cells, int(high) + 2)))
        ends.append((low - first, high - first))
    (upper, lower), (near, far) = ends
    return values[tuple(slices)].copy(), (near, upper, far, lower)


def smooth(inside: NDArray[np.bool_], box: Box, side: int) -> NDArray[np.bool_]:
    """(side, side), a part of an area at another resolution, without the steps of its cells.

    Args:
        inside: (h, w) what belongs.
        box: left, top, right and bottom of the part, in cells.
        side: of the result, in pixels.
    """
    shares = Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))
    found = np.array(shares.resize((side, side), Image.Resampling.BILINEAR, box))
    return found > _THIN


def veil(inside: NDArray[np.bool_]) -> bytes:
    """A small WebP file to lay over a patch: clear where it belongs, violet and hatched elsewhere.

    A bright and a dark line are between the two, both outside, so that small parts stay whole.

    Args:
        inside: (h, w) what belongs.
    """
    return _saved(Image.fromarray(_over(inside)), "WEBP", lossless=True, method=6)


def _square(shape: tuple[int, ...], centre: tuple[float, float]) -> tuple[float, float, float]:
    """Top, left and side of the patch around a pixel, in pixels of the photo."""
    side = max(1.0, min(shape[:2]) * _PART)
    top, left = (
        min(max(share * length - side / 2, 0.0), length - side)
        for share, length in zip(centre, shape, strict=False)
    )
    return top, left, side


def _over(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, w, 4), the pixels of a veil."""
    rows, columns = (np.arange(length) for length in inside.shape)
    over = np.full((*inside.shape, 4), _TINT, np.uint8)
    over[(rows[:, None] + columns) % _HATCHES == 0] = _HATCH
    beside = _grown(inside)
    edge = _grown(beside)
    over[edge] = _DARK
    over[beside & _grown(edge & ~beside)] = _BRIGHT  # holes too small for both lines stay dark
    over[inside] = 0
    return over


def _ringed(piece: NDArray[np.uint8], pixel: tuple[float, ...]) -> NDArray[np.uint8]:
    down, across = np.ogrid[:PATCH_SIDE, :PATCH_SIDE]
    away = np.hypot(down + 0.5 - pixel[0], across + 0.5 - pixel[1])
    ring = (away >= _RING[0]) & (away < _RING[1])
    around = ((away >= _RING[0] - 1) & (away < _RING[1] + 1)) & ~ring
    shaded = piece.astype(float)
    shaded[around] *= 1 - _SHADE
    shaded[ring] = 255
    return shaded.round().astype(np.uint8)


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The area dilated by one pixel (4-neighbourhood)."""
    grown = area.copy()
    grown[1:] |= area[:-1]
    grown[:-1] |= area[1:]
    grown[:, 1:] |= area[:, :-1]
    grown[:, :-1] |= area[:, 1:]
    return grown
