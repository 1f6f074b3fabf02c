"""Accuracy and precision from a sample of checked pixels, with 95 % intervals.

The design has two stages. Images are a simple random sample of those of a folder. The pixels of
these images are divided by predicted class into strata, from each of which pixels are drawn at
random. With W_h the share of stratum h in the pixels, and p_h the share of its n_h checked pixels
that are right, the accuracy is estimated as A = sum_h W_h p_h (Cochran, "Sampling Techniques",
1977, chapters 5 and 10; Olofsson et al., Remote Sensing of Environment 148, 2014).

Its interval is Wilson's with an effective number of checks n,

    1 / n = (1 - g) sum_h W_h^2 / n_h + g S / (A (1 - A)) + V / (A (1 - A)).

S is the variance within strata, sum_h W_h^2 p_h (1 - p_h) / n_h. It is smaller than if all p_h were
A, but few wrong checks say little about that: with e of them (or right ones, if these are fewer), g
= e / (2 e + 10) of the gain counts. V is the variance due to the choice of images: what the
variance over images, by linearisation with images as clusters, exceeds S. If the share f of all
images is in the sample, only 1 - f of it counts. benchmarks/audit.py measures the coverage.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Proportion", "Sample", "accuracy_of", "precisions_of", "strata_in_order"]

_POWER = 0.75  # of the share of a class in the number of its checks
_ALIKE = 0.1  # correlation of right and wrong within a class and an image; 0.03 to 0.3 measured
_NORMAL = 1.959964  # 97.5 % quantile

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Proportion:
    """An estimated share with its 95 % interval, in 0..100.

    Attributes:
        value: the estimate; NaN without checks.
        low: lower end.
        high: upper end.
        checks: number of checked pixels that it comes from.
    """

    value: float
    low: float
    high: float
    checks: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; null for an estimate without checks."""
        value = self.value if self.checks else None
        return {"value": value, "interval": [self.low, self.high], "checks": self.checks}


@dataclass(frozen=True, eq=False)
class Sample:
    """The checked pixels of a two-stage sample.

    Attributes:
        pixels: (m, H) number of pixels of each stratum in each image of the sample.
        fraction: share of the images of the folder that are in the sample, above 0 to 1.
        images: (n,) image 0..m-1 of each checked pixel.
        strata: (n,) its stratum 0..H-1.
        right: (n,) bool.
    """

    pixels: _Ints
    fraction: float
    images: _Ints
    strata: _Ints
    right: NDArray[np.bool_]

    @property
    def checked(self) -> _Ints:
        """(H,) checked pixels of each stratum."""
        return np.bincount(self.strata, minlength=self.pixels.shape[1])

    @property
    def hits(self) -> _Ints:
        """(H,) those of them that are right."""
        return np.bincount(self.strata[self.right], minlength=self.pixels.shape[1])


def strata_in_order(pixels: _Ints, checks: int) -> _Ints:
    """The stratum of each pixel to check, in an order of which every beginning is a good sample.

    Each stratum is checked once, the largest first. Then, by the method of Sainte-Lague, the number
    of checks of a stratum follows its share to the power of 3/4: less than its share for the
    accuracy, more for the precision of rare classes.

    Args:
        pixels: (H,) number of pixels of each stratum.
        checks: number of pixels to check.

    Returns:
        (n,) numbers of strata, n = `checks` or, if there are fewer, the number of all pixels.
    """
    weight, given = pixels.astype(np.float64) ** _POWER, np.zeros(len(pixels), np.int64)
    order: list[int] = np.argsort(-pixels, kind="stable")[
        : min(checks, (pixels > 0).sum())
    ].tolist()
    given[order] = 1
    for _ in range(min(checks, int(pixels.sum())) - len(order)):
        claims = np.where(given < pixels, weight / (given + 0.5), -1.0)
        order.append(int(claims.argmax()))
        given[order[-1]] += 1
    return np.array(order, np.int64)


def accuracy_of(sample: Sample) -> Proportion:
    """The share of the pixels of all images whose class is right.

    A stratum without a checked pixel is taken to be as good as the others, and makes the interval
    wider.
    """
    count = len(sample.right)
    if not count:
        return Proportion(np.nan, 0.0, 100.0, 0)
    share = sample.pixels.sum(0) / sample.pixels.sum()
    checked, hits = sample.checked, sample.hits
    known = checked > 0
    good = hits / np.maximum(checked, 1)
    pooled = float((share * good)[known].sum() / share[known].sum())
    good = np.where(known, good, pooled)
    accuracy = float((share * good).sum())
    spread = _spread(accuracy, count)
    once = share**2 / np.maximum(checked, 0.5)  # a stratum without checks is known badly
    smooth = (hits + pooled) / (checked + 1)
    within = float((once * smooth * (1 - smooth)).sum())
    between = (1 - sample.fraction) * max(_over_images(sample, share, good, spread) - within, 0.0)
    rare = min(int(hits.sum()), count - int(hits.sum()))
    gain = rare / (2 * rare + 10)
    inverse = (1 - gain) * float(once.sum()) + (gain * within + between) / spread
    return _wilson(accuracy, 1 / inverse, count)


def precisions_of(sample: Sample) -> tuple[Proportion, ...]:
    """For each stratum, the share of its pixels in all images whose class is right.

    Few checks cannot show how alike the pixels of an image are, so a fixed correlation is taken.
    """
    share = sample.pixels / np.maximum(sample.pixels.sum(0), 1)
    images = (1 - sample.fraction) * _ALIKE * np.square(share).sum(0)  # 1 / effective number
    found = []
    for count, hits, more in zip(
        sample.checked.tolist(), sample.hits.tolist(), images, strict=True
    ):
        if count:
            found.append(_wilson(hits / count, 1 / (1 / count + float(more)), count))
        else:
            found.append(Proportion(np.nan, 0.0, 100.0, 0))
    return tuple(found)


def _over_images(sample: Sample, share: _Floats, good: _Floats, spread: float) -> float:
    """Variance of the accuracy, from the contribution of each image to its linearised estimate."""
    count = len(sample.pixels)
    if count < 2:
        return spread  # one image says nothing about others
    accuracy = float((share * good).sum())
    expected = (sample.pixels * (good - accuracy)).sum(1) / sample.pixels.sum()
    weights = (share / np.maximum(sample.checked, 1))[sample.strata]
    seen = np.bincount(sample.images, weights * (sample.right - good[sample.strata]), count)
    return float(count * (expected + seen).var(ddof=1))


def _spread(share: float, count: int) -> float:
    """The variance p (1 - p) of one check, with p at least half a check away from 0 and 1."""
    share = min(max(share, 0.5 / count), 1 - 0.5 / count)
    return share * (1 - share)


def _wilson(share: float, effective: float, count: int) -> Proportion:
    """Wilson's score interval (1927) with an effective number of checks."""
    square = _NORMAL**2 / effective
    centre = (share + square / 2) / (1 + square)
    half = (
        _NORMAL / (1 + square) * np.sqrt(share * (1 - share) / effective + square / effective / 4)
    )
    low, high = float(max(centre - half, 0.0)), float(min(centre + half, 1.0))
    return Proportion(100 * share, 100 * min(low, share), 100 * max(high, share), count)
