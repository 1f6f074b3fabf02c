"""Colours of clusters that are distinct for normal and red-green colour-blind vision."""

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from picie.errors import ConfigError

__all__ = ["FRAME", "INK", "PAPER", "QUIET", "Colours", "Font", "cielab", "palette", "shorten"]

Colours = NDArray[np.uint8]
"""(K, 3) sRGB, one row for each cluster id."""

# Okabe and Ito, "Color Universal Design" (2008); black is last, because overlays with it are dark.
_FIRST = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
    (0, 0, 0),
)

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
_PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
_DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)

# IEC 61966-2-1, sRGB primaries and white point D65: linear RGB to XYZ.
_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
)
_VISIONS = np.stack([np.eye(3), _PROTANOPIA, _DEUTERANOPIA])

_STEP = 15  # 18 levels per channel: 5832 candidates, enough choice and fast to search
_LIGHTNESS = (28.0, 93.0)  # L* of candidates: visible on dark and on bright parts of photos
_SEARCHED = 1024  # here the closest colours differ by one CIELAB unit, about the limit of vision


def palette(k: int) -> Colours:
    """K distinct colours in a fixed order; a longer palette begins with the shorter one.

    The first 8 are those of Okabe and Ito. Each further colour is the candidate farthest in CIELAB
    from all previous ones, for the worst of normal, protanope and deuteranope vision. Beyond 1024
    colours, which are visually indistinguishable, colours are only guaranteed to differ.

    Args:
        k: number of colours, 1..65536.

    Returns:
        (k, 3) uint8 sRGB.

    Raises:
        ConfigError: k out of range.

    Example:
        >>> palette(2).tolist()
        [[230, 159, 0], [86, 180, 233]]
    """
    if not 1 <= k <= 65536:
        raise ConfigError(f"no palette of {k} colours; choose 1 to 65536 clusters")
    colours = np.array(_FIRST, dtype=np.uint8)
    if k > len(colours):
        colours = np.concatenate([colours, _far_apart(colours, min(k, _SEARCHED) - len(colours))])
    if k > len(colours):
        colours = np.concatenate([colours, _unused(colours, k - len(colours))])
    return colours[:k]


def _far_apart(chosen: Colours, wanted: int) -> Colours:
    """`wanted` more colours, each the candidate farthest from all chosen so far."""
    candidates = _candidates()
    points = _appearance(candidates)
    nearest = np.min([_distance(points, point) for point in _appearance(chosen)], axis=0)
    picks: list[int] = []
    for _ in range(wanted):
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distance(points, points[picks[-1]]))
    return candidates[picks]


def _candidates() -> Colours:
    levels = np.arange(0, 256, _STEP, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lightness = _appearance(grid)[:, 0, 0]
    return grid[(lightness >= _LIGHTNESS[0]) & (lightness <= _LIGHTNESS[1])]


def _unused(used: Colours, wanted: int) -> Colours:
    """`wanted` colours that differ from all `used`, spread over sRGB."""
    # An odd factor permutes the 24-bit codes; this one is close to 2^24 / golden ratio.
    codes = np.arange(1, wanted + len(used) + 1, dtype=np.int64) * 10368889 % 2**24
    taken = used.astype(np.int64) @ (65536, 256, 1)
    codes = codes[~np.isin(codes, taken)][:wanted]
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)


def _distance(points: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) squared CIE76 differences, each the smallest over the three visions."""
    offset = points - point
    squares: NDArray[np.float64] = np.einsum("nvi,nvi->nv", offset, offset).min(-1)
    return squares


def cielab(colours: Colours) -> NDArray[np.float64]:
    """(N, 3) sRGB to (N, 3) CIELAB under D65 (CIE 15), for normal vision."""
    seen: NDArray[np.float64] = _appearance(colours)[:, 0]
    return seen


def _appearance(colours: Colours) -> NDArray[np.float64]:
    """(N, 3) sRGB to (N, 3 visions, 3) CIELAB under D65 (CIE 15)."""
    share = colours / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    perceived = np.einsum("vij,nj->nvi", _VISIONS, linear).clip(0, 1)
    ratio = perceived @ _XYZ.T / _XYZ.sum(1)
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


PAPER = (255, 255, 255)
INK = (33, 37, 41)
QUIET = (118, 124, 130)
FRAME = (222, 226, 230)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def shorten(text: str, room: int, font: Font) -> str:
    """The text, truncated with dots at its end if it is wider than `room` pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."
