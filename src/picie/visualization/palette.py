"""Colours of clusters that are distinct over photos, also for red-green colour-blind vision."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from picie.errors import ConfigError

__all__ = [
    "FRAME",
    "INK",
    "PAPER",
    "QUIET",
    "Colours",
    "Font",
    "blended_distances",
    "cielab",
    "palette",
    "shorten",
]

Colours = NDArray[np.uint8]
"""(K, 3) sRGB, one row for each cluster id."""

# Found by simulated annealing, for the largest least CIEDE2000 of all pairs among the first 24,
# blended at 50 % over three greys (_BACKGROUNDS). Among the first K, for every other K, and for
# protanopes and deuteranopes, none is closer than in a search that wished for all at once. None is
# close to black, white or grey.
_FIRST = (
    (0, 0, 251),
    (210, 255, 0),
    (251, 211, 255),
    (0, 65, 57),
    (254, 122, 0),
    (19, 239, 189),
    (244, 8, 147),
    (84, 16, 1),
    (12, 126, 255),
    (103, 87, 54),
    (73, 0, 86),
    (255, 131, 119),
    (0, 107, 0),
    (5, 204, 255),
    (225, 250, 187),
    (44, 63, 101),
    (241, 7, 0),
    (106, 161, 149),
    (47, 255, 77),
    (236, 192, 150),
    (132, 93, 210),
    (250, 189, 5),
    (156, 182, 222),
    (132, 89, 109),
    (128, 179, 39),
    (167, 91, 47),
    (150, 30, 65),
    (18, 116, 151),
    (243, 129, 191),
    (12, 20, 122),
    (142, 7, 193),
    (167, 125, 31),
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
_IMPAIRED = 3.5  # weight of distances for the two other visions; with 1, normal vision suffers

_BACKGROUNDS = (40, 128, 215)  # dark, middle and bright parts of photos, under half opaque colours
_STEP = 15  # 18 levels per channel: enough choice and fast to search
_LIGHTNESS = (28.0, 93.0)  # L* of further colours: neither black nor white
_LEAST_CHROMA = 20.0  # grey over a photo looks like a dull photo
_SEARCHED = 256  # here the closest colours, blended, are at about the limit of vision


def palette(k: int) -> Colours:
    """K distinct colours in a fixed order; a longer palette begins with the shorter one.

    They are made for overlays: what counts is how far apart colours are when blended at 50 % over
    dark, middle and bright grey, the least of the three, for normal, protanope and deuteranope
    vision. After the first 32, each further colour is the candidate farthest from all previous
    ones. Beyond 256 colours, which are visually indistinguishable, colours are only guaranteed to
    differ. None looks black, white or grey.

    Args:
        k: number of colours, 1..65536.

    Returns:
        (k, 3) uint8 sRGB.

    Raises:
        ConfigError: k out of range.

    Example:
        >>> palette(2).tolist()
        [[0, 0, 251], [210, 255, 0]]
    """
    if not 1 <= k <= 65536:
        raise ConfigError(f"no palette of {k} colours; choose 1 to 65536 clusters")
    colours = np.array(_FIRST, dtype=np.uint8)
    if k > len(colours):
        colours = _searched(min(2 ** (k - 1).bit_length(), _SEARCHED))
    if k > len(colours):
        colours = np.concatenate([colours, _unused(colours, k - len(colours))])
    return colours[:k].copy()


@lru_cache(maxsize=8)
def _searched(count: int) -> Colours:
    """The first colours, and further ones, each the candidate farthest from all before it."""
    first, levels = np.array(_FIRST, dtype=np.uint8), np.arange(0, 256, _STEP, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    candidates = grid[_is_usable(grid)]
    points = _appearance(candidates)
    nearest = np.min([_squares(points, point) for point in _appearance(first)], axis=0)
    picks: list[int] = []
    while len(first) + len(picks) < count:
        # Rounded, so that equal distances are equal on all machines.
        picks.append(int(nearest.round(6).argmax()))
        nearest = np.minimum(nearest, _squares(points, points[picks[-1]]))
    return np.concatenate([first, candidates[picks]])


def _is_usable(colours: Colours) -> NDArray[np.bool_]:
    """(N,) whether each colour is neither black nor white nor grey."""
    lightness, *chroma = cielab(colours).T
    dark, light = _LIGHTNESS
    usable: NDArray[np.bool_] = (
        (lightness >= dark) & (lightness <= light) & (np.hypot(*chroma) >= _LEAST_CHROMA)
    )
    return usable


def _unused(used: Colours, wanted: int) -> Colours:
    """`wanted` colours that differ from all `used`, spread over sRGB."""
    # An odd factor permutes the 24-bit codes; this one is close to 2^24 / golden ratio.
    codes = np.arange(1, 2 * (wanted + len(used)) + 1, dtype=np.int64) * 10368889 % 2**24
    codes = codes[~np.isin(codes, used.astype(np.int64) @ (65536, 256, 1))]
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)
    return colours[_is_usable(colours)][:wanted]


def blended_distances(colours: Colours, others: Colours) -> NDArray[np.float64]:
    """(N, M) how far apart N and M colours are over photos, about as CIEDE2000 counts."""
    points = _appearance(others)
    squares = np.stack([_squares(points, point) for point in _appearance(colours)])
    distances: NDArray[np.float64] = np.sqrt(squares)
    return distances


def _squares(points: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) squared distances, each the smallest over backgrounds and visions."""
    offset = points - point
    squares: NDArray[np.float64] = np.einsum("nvi,nvi->nv", offset, offset).min(-1)
    return squares


def cielab(colours: Colours) -> NDArray[np.float64]:
    """(N, 3) sRGB to (N, 3) CIELAB under D65 (CIE 15), for normal vision."""
    return _cielab(_linear(colours))


def _appearance(colours: Colours) -> NDArray[np.float64]:
    """(N, 3) sRGB to (N, 9, 3): blended over each background, for each vision, in DIN99o.

    In this space (DIN 6176:2018) the Euclidean distance is close to CIEDE2000.
    """
    backgrounds = np.array(_BACKGROUNDS)[:, None]
    linear = _linear((colours[:, None] + backgrounds) / 2)
    perceived = np.einsum("vij,nbj->nvbi", _VISIONS, linear).clip(0, 1)
    lightness, red, yellow = np.moveaxis(_cielab(perceived), -1, 0)
    turn = np.radians(26)
    across = red * np.cos(turn) + yellow * np.sin(turn)
    along = 0.83 * (yellow * np.cos(turn) - red * np.sin(turn))
    chroma = np.log(1 + 0.075 * np.hypot(across, along)) / 0.0435
    hue = np.arctan2(along, across) + turn
    place = 303.67 * np.log(1 + 0.0039 * lightness), chroma * np.cos(hue), chroma * np.sin(hue)
    points = np.stack(place, -1)
    points[:, 1:] *= _IMPAIRED
    return points.reshape(len(colours), -1, 3)


def _linear(colours: NDArray[Any]) -> NDArray[np.float64]:
    """0..255 of sRGB to 0..1 of linear RGB."""
    share = colours / 255.0
    linear: NDArray[np.float64] = np.where(
        share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4
    )
    return linear


def _cielab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) linear RGB to CIELAB."""
    ratio = linear @ _XYZ.T / _XYZ.sum(1)
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
