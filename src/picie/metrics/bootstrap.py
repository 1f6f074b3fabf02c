"""Bootstrap intervals: how much scores owe to the images that happen to be in the set.

Images are drawn with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13), since the pixels of one image are no independent draws. The intervals say nothing
about how training varies with its seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from picie.errors import ConfigError, DataError
from picie.metrics.confusion import ImageCounts, Percent, iou
from picie.metrics.matching import Matching, in_class_order, match_clusters
from picie.runtime.random import Stream, numpy_generator

__all__ = ["Intervals", "bootstrap_intervals", "check_resamples"]

_LEAST = 100  # fewer leave less than three resamples beyond each end of the interval
_ENDS = (2.5, 97.5)
_BLOCK = 2**22  # numbers that are held at once

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Intervals:
    """95 % percentile intervals over resampled images.

    Attributes:
        accuracy: lower and upper end, 0..100.
        miou: lower and upper end, 0..100.
        resamples: how many sets were drawn.
        images: how many images each of them holds; those without a labelled pixel are not
            drawn.
        seed: of the draws.
        matching: whether clusters keep the classes of the whole set.
    """

    accuracy: tuple[float, float]
    miou: tuple[float, float]
    resamples: int
    images: int
    seed: int
    matching: str

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, with the kind of the intervals."""
        return {
            "interval": "95 % percentile, images drawn with replacement",
            "accuracy": list(self.accuracy),
            "miou": list(self.miou),
            "resamples": self.resamples,
            "pictures": self.images,
            "seed": self.seed,
            "matching": self.matching,
        }


def check_resamples(resamples: int) -> None:
    """Refuse a number of resamples that gives no interval of 95 %.

    Raises:
        ConfigError: below 100.
    """
    if resamples < _LEAST:
        raise ConfigError(f"a bootstrap of {resamples} resamples; give {_LEAST} or more, or 0")


def bootstrap_intervals(
    images: ImageCounts,
    *,
    match: Matching = "hungarian",
    resamples: int = 1000,
    seed: int = 0,
    rematch: bool = False,
) -> Intervals:
    """Score sets of N images that are drawn with replacement from the N images.

    mIoU is the mean over the classes that occur in the drawn set. Resamples are drawn one after
    another from `seed`; memory is bounded whatever their number.

    Args:
        images: counts of N images, 2 at least.
        match: how clusters are matched.
        resamples: sets to draw, 100 or more.
        seed: 0 or more.
        rematch: match clusters again for each drawn set. Otherwise they keep the classes that they
            have in the whole set, so that the interval is that of one fixed labelling.

    Raises:
        ConfigError: too few resamples, or an unknown matching.
        DataError: fewer than two images with a labelled pixel.
    """
    check_resamples(resamples)
    if len(images) < 2:
        raise DataError(
            f"{len(images)} image with labelled pixels to draw from; a bootstrap needs 2"
        )
    shape = (images.num_classes, images.num_clusters)
    table = _table(images)
    found = []
    if rematch:
        for sums in _resampled(table, resamples, seed):
            found.append(_scores(*_rematched(sums.reshape(-1, *shape), match)))
    else:
        whole = np.asarray(table.sum(0)).reshape(shape)
        parts = _parts(images, match_clusters(whole, match))
        for sums in _resampled(parts, resamples, seed):
            found.append(_scores(*np.split(sums, 3, axis=1)))
    accuracy, miou = (np.concatenate(values) for values in zip(*found, strict=True))
    return Intervals(
        accuracy=_ends(accuracy),
        miou=_ends(miou),
        resamples=resamples,
        images=len(images),
        seed=seed,
        matching="again in each resample" if rematch else "that of the whole set, kept",
    )


def _table(images: ImageCounts) -> Any:
    """Sparse (N, L * K)."""
    shape = (len(images), images.num_classes * images.num_clusters)
    counts: Any = images.counts.astype(np.int64)
    return csr_array((counts, images.places, images.starts), shape=shape)


def _parts(images: ImageCounts, mapping: tuple[int, ...]) -> Any:
    """Sparse (N, 3 L): hits, rows and columns of each class in each image."""
    classes, counts = images.num_classes, images.counts.astype(np.int64)
    label, cluster = np.divmod(images.places, images.num_clusters)
    given = np.asarray(mapping)[cluster]
    image = np.repeat(np.arange(len(images)), np.diff(images.starts))
    hit, matched = label == given, given >= 0
    values: Any = np.concatenate([counts[hit], counts, counts[matched]])
    source = np.concatenate([image[hit], image, image[matched]])
    target = np.concatenate([label[hit], classes + label, 2 * classes + given[matched]])
    return csr_array((values, (source, target)), shape=(len(images), 3 * classes))


def _resampled(table: Any, resamples: int, seed: int) -> Iterator[_Ints]:
    """(R, C) sums over drawn images, of the rows of a sparse (N, C), a block of R at a time."""
    rng = numpy_generator(Stream.BOOTSTRAP, seed)
    count, width = table.shape
    step = max(1, _BLOCK // (count + width))
    for start in range(0, resamples, step):
        draws = [
            np.bincount(rng.integers(0, count, count), minlength=count)
            for _ in range(min(step, resamples - start))
        ]
        yield np.asarray((table.T @ np.stack(draws, axis=1)).T)


def _rematched(matrices: _Ints, match: Matching) -> tuple[_Ints, _Ints, _Ints]:
    """(R, L) hits, rows and columns of (R, L, K) counts, each with its own matching."""
    ordered = [in_class_order(matrix, match_clusters(matrix, match)) for matrix in matrices]
    stacked = np.stack(ordered)
    return stacked.diagonal(axis1=1, axis2=2), stacked.sum(2), stacked.sum(1)[:, :-1]


def _scores(hits: _Ints, rows: _Ints, columns: _Ints) -> tuple[Percent, Percent]:
    """(R,) accuracy and mIoU."""
    return 100.0 * hits.sum(1) / rows.sum(1), np.nanmean(iou(hits, rows, columns), axis=1)


def _ends(values: Percent) -> tuple[float, float]:
    low, high = np.percentile(values, _ENDS)
    return float(low), float(high)
