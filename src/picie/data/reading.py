"""The rule by which deep images become bytes: two values, chosen once for a set of images.

A deep image has another sample type than 8 bits: 10 to 16 bits of a camera or microscope, integers
of 32 bits, floats. Which of its values are black and white is not in the file, and what is right
for one image alone would lose the order of brightness in a series. So one `stretch` is chosen from
a sample of all images:

- whole numbers from 0: the smallest of 8, 10, 12, 14 and 16 bits that holds them;
- fractions from 0 to 1, and levels from 0 to 255: that range;
- anything else (temperatures, decibels, heights), and what uses less than a quarter of its range:
  the 0.5th and the 99.5th percentile.

Infinite values and NaN do not count; neither do declared nodata, and single extreme values that are
repeated and far from all others, such as -9999. All of them become black.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.config import MOST_PIXELS, Reading

__all__ = ["MOST_PIXELS", "Choice", "Reading", "Sample", "choose", "outside", "to_bytes"]

_DEPTHS = (8, 10, 12, 14, 16)
_PER_CENT = (0.5, 99.5)
_USED = 0.25  # least share of a range between the 1st and 99th percentile of the values
_LITTLE = 1 / 32  # share of a stretch that an image uses if it looks nearly of one colour
_RARE = 1e-5  # share of values, such as hot pixels, that a depth need not hold
_NEARLY = 0.999  # share of values in a range of floats
_REPEATED = 16  # times that a value occurs at least if it stands for missing data
_FILLS = 3  # most such values on one side
_FAR_ABOVE = 8  # times the range of the others; a sensor may saturate below that
_STRIP = 2**20  # values converted at once


@dataclass(frozen=True, eq=False)
class Sample:
    """Some values of one deep image.

    Attributes:
        name: of the image, for messages.
        kind: of its values, such as "uint16".
        values: (n,) float64, finite, without declared nodata.
        bits: declared depth, such as 12; 0 = unknown.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    bits: int = 0


@dataclass(frozen=True)
class Choice:
    """A stretch and why.

    Attributes:
        stretch: values that become 0 and 255.
        kind: what the images are called, such as "12-bit" or "float32".
        reason: where the values come from, in words; "" for the range of a depth.
        fills: repeated extreme values that were left out.
    """

    stretch: tuple[float, float]
    kind: str
    reason: str = ""
    fills: tuple[float, ...] = ()


def choose(samples: Sequence[Sample]) -> Choice:
    """Choose the stretch of a set of images.

    Args:
        samples: of some of them. Where integers and floats are mixed, the more frequent kind
            decides.
    """
    whole = [sample for sample in samples if "int" in sample.kind]
    chosen = whole if 2 * len(whole) >= len(samples) else [s for s in samples if s not in whole]
    pooled = np.concatenate([np.zeros(0), *(sample.values for sample in chosen)])
    kinds = sorted({sample.kind for sample in chosen})
    values, fills = _without_fills(pooled, kinds)
    if not values.size:
        return Choice((0.0, 1.0), " and ".join(kinds), "no image has a finite value")
    low, first, last, high = np.percentile(values, (_PER_CENT[0], 1, 99, _PER_CENT[1])).tolist()
    top, kind = _range(values, max(sample.bits for sample in chosen))
    if top and last - first >= _USED * top:
        return Choice((0.0, float(top)), kind or " and ".join(kinds), "", fills)
    if not low < high:
        low, high = float(values.min()), float(values.max())
    stretch = (low, high) if low < high else (low, low + max(1.0, abs(low) * 1e-6))
    reason = f"{_PER_CENT[0]:g}th to {_PER_CENT[1]:g}th percentile"
    reason += f" of {len(chosen)} of them" * (len(chosen) > 1)
    return Choice(stretch, " and ".join(kinds), reason, fills)


def _range(values: NDArray[np.float64], bits: int) -> tuple[int, str]:
    """The white of a range that starts at 0, and its name; 0 if there is none."""
    spare = min(max(3.0, _RARE * values.size), values.size / 1000)
    if np.count_nonzero(values < 0) <= spare and (values == np.rint(values)).all():
        for depth in _DEPTHS:
            if depth >= bits and np.count_nonzero(values > 2**depth - 1) <= spare:
                return 2**depth - 1, f"{depth}-bit"
        return 0, ""
    for top in (1, 255):
        inside = np.count_nonzero((values >= 0) & (values <= top))
        if inside >= _NEARLY * values.size:
            return top, ""
    return 0, ""


def _without_fills(
    values: NDArray[np.float64], kinds: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """The values without those that stand for missing data, and the latter."""
    fills: list[float] = []
    largest = {_largest(kind) for kind in kinds}
    for sign in (1, -1):
        ordered = np.sort(values if sign == 1 else -values)
        above = sign == -1 and ordered.size and -ordered[0] not in largest
        start = _fill_end(ordered, _FAR_ABOVE if above else 1)
        fills += [sign * fill for fill in np.unique(ordered[:start]).tolist()]
        values = sign * ordered[start:]
    return values, tuple(sorted(fills))


def _largest(kind: str) -> float:
    """The largest value of a type of integers, which stands for missing data more often."""
    return float(np.iinfo(kind).max) if "int" in kind else math.inf


def _fill_end(ordered: NDArray[np.float64], far: float) -> int:
    """Number of values at the start of a sorted array that stand for missing data.

    Args:
        ordered: (n,).
        far: distance of such values from the others, in ranges of the others.
    """
    start = end = 0
    for _ in range(_FILLS):
        if start == ordered.size:
            return end
        after = int(np.searchsorted(ordered, ordered[start], side="right"))
        rest = ordered[after:]
        if after - start < _REPEATED or not rest.size:
            return end
        low, high = np.percentile(rest, _PER_CENT)
        if low < high and rest[0] - ordered[start] > far * (high - low):
            end = after
        start = after
    return end


def outside(sample: Sample, stretch: tuple[float, float]) -> float:
    """Share of the values of an image beyond a stretch, 0..1."""
    values = _without_fills(sample.values, [sample.kind])[0]
    if not values.size:
        return 0.0
    low, high = stretch
    # An image that uses next to nothing of the stretch is as lost as one beyond it.
    if np.ptp(values) > 0 and np.ptp(np.percentile(values, (1, 99))) < _LITTLE * (high - low):
        return 1.0
    return float(np.mean((values < low) | (values > high)))


def to_bytes(
    values: NDArray[Any], stretch: tuple[float, float], nodata: float | None = None
) -> NDArray[np.uint8]:
    """Values as levels 0..255, linear between the two values of the stretch.

    Args:
        values: of any shape and any real type.
        stretch: values that become 0 and 255; what lies beyond is clipped.
        nodata: another value that becomes 0.

    Returns:
        uint8 of the same shape. Values that are not finite, and a value far above the stretch that
        is repeated, become 0.
    """
    blanks = _far_above(values, stretch)
    if nodata is not None:
        blanks.append(nodata)
    table = None
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        info = np.iinfo(values.dtype)
        every = _levels(np.arange(info.min, info.max + 1), stretch, blanks)
        table = np.roll(every, info.min)  # negative values count from the end, as indices do
    levels = np.empty(values.shape, np.uint8)
    flat, source = levels.reshape(-1), values.reshape(-1)
    for start in range(0, flat.size, _STRIP):  # the steps between would take 8 bytes per value
        part = source[start : start + _STRIP]
        flat[start : start + _STRIP] = (
            _levels(part, stretch, blanks) if table is None else table[part]
        )
    return levels


def _levels(
    values: NDArray[Any], stretch: tuple[float, float], blanks: Sequence[float]
) -> NDArray[np.uint8]:
    low, high = stretch
    with np.errstate(invalid="ignore", over="ignore"):
        share = (values.astype(np.float64) - low) / (high - low) * 255
    levels: NDArray[np.uint8] = np.rint(np.nan_to_num(share.clip(0, 255), nan=0)).astype(np.uint8)
    for blank in blanks:
        levels[values == blank] = 0
    if values.dtype.kind == "f":
        levels[~np.isfinite(values)] = 0
    return levels


def _far_above(values: NDArray[Any], stretch: tuple[float, float]) -> list[float]:
    """The largest finite value, if it stands for missing data far above the stretch."""
    low, high = stretch
    limit, largest = high + (high - low), _largest(values.dtype.name)
    if largest <= limit:
        return []
    beyond = values[(values > limit) & np.isfinite(values)]
    if beyond.size < _REPEATED:
        return []
    top = float(beyond.max())
    far = top == largest or top > high + _FAR_ABOVE * (high - low)
    return [top] if far and 2 * np.count_nonzero(beyond == top) > beyond.size else []
