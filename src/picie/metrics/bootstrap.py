"""Bootstrap intervals: the uncertainty of scores due to the choice of images.

Images are drawn with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13), not pixels, because the pixels of one image are not independent. The intervals do not
include the variation of training between seeds.
"""

from collections.abc import Iterator, Sequence
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

_LEAST = 100  # with fewer, less than three resamples lie outside each end of the interval
_MOST = 1_000_000  # as many no longer move the third digit
_ENDS = (2.5, 97.5)
_BLOCK = 2**22  # maximum number of values in memory

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Intervals:
    """95 % percentile intervals over resampled images.

    Attributes:
        accuracy: lower and upper end, 0..100.
        miou: lower and upper end, 0..100.
        resamples: number of resampled sets.
        images: number of images per set; images without a labelled pixel are excluded.
        seed: seed of the draws.
        matching: whether clusters keep the classes of the whole set.
    """

    accuracy: tuple[float, float]
    miou: tuple[float, float]
    resamples: int
    images: int
    seed: int
    matching: str

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, with a description of the interval."""
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
    """Raise if the number of resamples is too small for a 95 % interval, or would take for ever.

    Raises:
        ConfigError: below 100, or more than a million.
    """
    if resamples < _LEAST:
        raise ConfigError(
            f"a bootstrap of {resamples} resamples is too small; give {_LEAST} or more, or 0"
        )
    if resamples > _MOST:
        raise ConfigError(
            f"a bootstrap of {resamples} resamples would take for ever; give at most {_MOST}"
        )


def bootstrap_intervals(
    images: ImageCounts,
    *,
    match: Matching = "hungarian",
    resamples: int = 1000,
    seed: int = 0,
    rematch: bool = False,
    mapping: Sequence[int] | None = None,
) -> Intervals:
    """Score sets of N images drawn with replacement from the N images.

    mIoU is the mean over the classes that occur in the resampled set. Resamples are drawn
    sequentially from `seed`; memory does not grow with their number.

    Args:
        images: counts of N images, N >= 2.
        match: rule of the matching.
        resamples: number of sets, 100 or more.
        seed: 0 or more.
        rematch: match clusters again for each set. Otherwise they keep the classes that they have
            in the whole set, and the interval is that of a fixed matching.
        mapping: the class of each cluster if it is known, -1 = none; clusters are then not matched.

    Raises:
        ConfigError: too few resamples, or an unknown matching.
        DataError: fewer than two images with a labelled pixel.
    """
    check_resamples(resamples)
    if len(images) < 2:
        raise DataError(f"{len(images)} image with labelled pixels; a bootstrap needs at least 2")
    shape = (images.num_classes, images.num_clusters)
    table = _table(images)
    scores = []
    if rematch and mapping is None:
        for sums in _resampled(table, resamples, seed):
            scores.append(_scores(*_rematched(sums.reshape(-1, *shape), match)))
    else:
        whole = np.asarray(table.sum(0)).reshape(shape)
        parts = _parts(images, match_clusters(whole, match) if mapping is None else mapping)
        for sums in _resampled(parts, resamples, seed):
            scores.append(_scores(*np.split(sums, 3, axis=1)))
    accuracy, miou = (np.concatenate(values) for values in zip(*scores, strict=True))
    return Intervals(
        accuracy=_ends(accuracy),
        miou=_ends(miou),
        resamples=resamples,
        images=len(images),
        seed=seed,
        matching=_matching(rematch=rematch, given=mapping is not None),
    )


def _matching(*, rematch: bool, given: bool) -> str:
    if given:
        return "none (classes by name)"
    return "again in each resample" if rematch else "that of the whole set, kept"


def _table(images: ImageCounts) -> Any:
    """Sparse (N, L * K)."""
    shape = (len(images), images.num_classes * images.num_clusters)
    counts: Any = images.counts.astype(np.int64)
    return csr_array((counts, images.places, images.starts), shape=shape)


def _parts(images: ImageCounts, mapping: Sequence[int]) -> Any:
    """Sparse (N, 3 L): true positives, row sums and column sums of each class in each image."""
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
    """Blocks (R, C) of resamples: sums of drawn rows of a sparse (N, C)."""
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
    """(R, L) true positives, row and column sums of (R, L, K) counts, each matched on its own."""
    ordered = [in_class_order(matrix, match_clusters(matrix, match)) for matrix in matrices]
    stacked = np.stack(ordered)
    return stacked.diagonal(axis1=1, axis2=2), stacked.sum(2), stacked.sum(1)[:, :-1]


def _scores(hits: _Ints, rows: _Ints, columns: _Ints) -> tuple[Percent, Percent]:
    """(R,) accuracy and mIoU."""
    return 100.0 * hits.sum(1) / rows.sum(1), np.nanmean(iou(hits, rows, columns), axis=1)


def _ends(values: Percent) -> tuple[float, float]:
    low, high = np.percentile(values, _ENDS)
    return float(low), float(high)
