"""The confusion matrix: number of pixels per true class and cluster.

All scores come from ONE matrix of the whole data set (L classes x K clusters), never from averages
over images. Counts of single images are kept only for resampling.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.errors import DataError
from picie.runtime.moved import forwarding
from picie.types import VOID

__all__ = ["Confusion", "ImageCounts", "Matrix", "Percent", "iou", "mean", "percent"]

__getattr__ = forwarding(__name__)  # for names of 0.1

_CHUNK = 2**24  # pixels that are counted at once

Matrix = NDArray[np.int64]
"""(L, K) pixel counts: rows are true classes, columns are clusters."""


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """The (L, K) counts of N images in sparse form; 8 bytes per nonzero entry.

    Image i has the entries `starts[i]` to `starts[i + 1]`.

    Attributes:
        places: (n,) int32, class * K + cluster of each entry.
        counts: (n,) int32, number of pixels of each entry, at least 1.
        starts: (N + 1,) int64.
        num_classes: L.
        num_clusters: K.
    """

    places: NDArray[np.int32]
    counts: NDArray[np.int32]
    starts: NDArray[np.int64]
    num_classes: int
    num_clusters: int

    def __len__(self) -> int:
        """Number of images."""
        return len(self.starts) - 1


class Confusion:
    """Counts of (true class, cluster) pairs over all labelled pixels of a data set.

    Only the truth can be void: 255 is a valid cluster id. The counts form an (L, K) matrix, because
    a square matrix of max(L, K) classes would need 34 GB for 65535 clusters.

    Args:
        num_classes: L, 1..255.
        num_clusters: K, at least 1.
        keep_images: also keep the counts of every update, for `images`.

    Attributes:
        pixels: number of pixels of all updates, void ones included.

    Raises:
        DataError: L or K out of range.

    Example:
        >>> confusion = Confusion(num_classes=2, num_clusters=3)
        >>> confusion.update([[0, 1, 255]], [[2, 0, 0]])
        >>> confusion.matrix.tolist()
        [[0, 0, 1], [1, 0, 0]]
    """

    def __init__(self, num_classes: int, num_clusters: int, *, keep_images: bool = False) -> None:
        if not 1 <= num_classes <= VOID:
            raise DataError(
                f"{num_classes} classes cannot be scored; give 1 to {VOID}, since masks hold class "
                f"ids in 8 bits and {VOID} is void"
            )
        if num_clusters < 1:
            raise DataError(f"{num_clusters} clusters cannot be scored; give 1 or more")
        self.num_classes = num_classes
        self.num_clusters = num_clusters
        self.keep_images = keep_images
        self.pixels = 0
        self._counts = torch.zeros(num_classes * num_clusters, dtype=torch.int64)
        self._kept: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []

    def update(self, truth: Any, clusters: Any) -> None:
        """Add the pixels of one image or batch.

        Args:
            truth: tensor, array or nested list of integers of any shape, class ids 0..L-1, or 255
                for void.
            clusters: the same shape, cluster ids 0..K-1. Ids under void truth are ignored.

        Raises:
            DataError: shapes differ, values are not integers, or an id is out of range.
        """
        truth, clusters = _integers(truth, "truth"), _integers(clusters, "clusters")
        if truth.shape != clusters.shape:
            raise DataError(
                f"truth has shape {tuple(truth.shape)} and clusters {tuple(clusters.shape)}; "
                "resize them to the same shape"
            )
        counts = torch.zeros_like(self._counts)
        parts = (values.reshape(-1).split(_CHUNK) for values in (truth, clusters))
        for part in zip(*parts, strict=True):
            counts += self._counted(*part)
        self._counts += counts
        self.pixels += truth.numel()
        if self.keep_images and counts.any():
            places = counts.nonzero()[:, 0]
            sparse = (places.numpy(), counts[places].numpy())
            self._kept.append((sparse[0].astype(np.int32), sparse[1].astype(np.int32)))

    def _counted(self, truth: Tensor, clusters: Tensor) -> Tensor:
        """(L * K,) counts of the pairs of some pixels."""
        truth, clusters = truth.to(torch.int64), clusters.to(torch.int64)
        labelled = truth != VOID
        truth, clusters = truth[labelled], clusters[labelled].to(truth.device)
        _check_ids(truth, self.num_classes, f"truth holds class id {{}}; use {VOID} for void")
        _check_ids(clusters, self.num_clusters, "clusters hold id {}; check the number of clusters")
        pairs = truth * self.num_clusters + clusters
        return torch.bincount(pairs, minlength=len(self._counts)).cpu()

    @property
    def matrix(self) -> Matrix:
        """A copy of the (L, K) counts: rows are true classes, columns are clusters."""
        return self._counts.view(self.num_classes, self.num_clusters).numpy().copy()

    @property
    def images(self) -> ImageCounts:
        """The counts of each update with labelled pixels; empty without `keep_images`."""
        none = np.zeros(0, dtype=np.int32)
        return ImageCounts(
            np.concatenate([none, *(places for places, _ in self._kept)]),
            np.concatenate([none, *(counts for _, counts in self._kept)]),
            np.cumsum([0, *(len(places) for places, _ in self._kept)], dtype=np.int64),
            self.num_classes,
            self.num_clusters,
        )


def _integers(values: Any, what: str) -> Tensor:
    tensor = torch.as_tensor(values)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DataError(f"{what} has type {tensor.dtype}; give whole-number ids")
    return tensor


def _check_ids(ids: Tensor, limit: int, message: str) -> None:
    if len(ids) == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(ids))
    if low < 0 or high >= limit:
        wrong = low if low < 0 else high
        raise DataError(f"{message.format(wrong)} (known ids: 0 to {limit - 1})")


Percent = NDArray[np.float64]


def percent(part: NDArray[Any], whole: NDArray[Any]) -> Percent:
    """100 * part / whole; NaN where `whole` is 0.

    Args:
        part: counts of any shape.
        whole: counts of the same shape.
    """
    shares = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=shares, where=np.asarray(whole) > 0)
    return 100.0 * shares


def iou(
    hits: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    true: NDArray[Any] | None = None,
) -> Percent:
    """IoU of each class: tp / (row + column - tp), in per cent.

    Args:
        hits: (..., L) true positives tp: pixels of the class in clusters of the class.
        rows: (..., L) pixels of the class.
        columns: (..., L) pixels in clusters of the class.
        true: (..., L) pixel counts that decide whether the class occurs; None = `rows`.

    Returns:
        (..., L) in 0..100; NaN for a class that does not occur, 0 for one that occurs but has no
        true positives.
    """
    occurs = np.asarray(rows if true is None else true) > 0
    union = np.maximum(rows + columns - hits, 1)  # 0 only where hits is 0 too
    return np.where(occurs, 100.0 * (hits / union), np.nan)


def mean(values: Percent) -> float | None:
    """Mean of the values that are not NaN; None if there are none."""
    defined = values[~np.isnan(values)]
    return float(np.mean(defined)) if len(defined) else None
