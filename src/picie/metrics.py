"""Scores of a clustering against labels: confusion matrix, matching, dataset mIoU and accuracy.

Everything is computed from ONE matrix of the whole data set (L classes x K clusters), never from
averages over pictures.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from picie.errors import ConfigError, DataError
from picie.types import VOID

__all__ = ["Confusion", "Matrix", "Scores", "hungarian", "majority", "score"]

Matrix = NDArray[np.int64]
"""(L, K) pixel counts: rows are true classes, columns are clusters."""


class Confusion:
    """Counts of (true class, cluster) pairs over all labelled pixels of a data set.

    Only truth can be void: a cluster may well have the id 255. The counts are kept as one (L, K)
    block, because a square matrix of max(L, K) classes would need 34 GB for 65535 clusters.

    Args:
        num_classes: L, 1..255.
        num_clusters: K, at least 1.

    Raises:
        DataError: L or K out of range.

    Example:
        >>> confusion = Confusion(num_classes=2, num_clusters=3)
        >>> confusion.update([[0, 1, 255]], [[2, 0, 0]])
        >>> confusion.matrix.tolist()
        [[0, 0, 1], [1, 0, 0]]
    """

    def __init__(self, num_classes: int, num_clusters: int) -> None:
        if not 1 <= num_classes <= VOID:
            raise DataError(
                f"{num_classes} classes cannot be scored; give 1 to {VOID}, since masks hold class "
                f"ids in 8 bits and {VOID} is void"
            )
        if num_clusters < 1:
            raise DataError(f"{num_clusters} clusters cannot be scored; give 1 or more")
        self.num_classes = num_classes
        self.num_clusters = num_clusters
        self._counts = torch.zeros(num_classes * num_clusters, dtype=torch.int64)

    def update(self, truth: Any, clusters: Any) -> None:
        """Add the pixels of one picture or batch.

        Args:
            truth: tensor, array or nested list of integers of any shape, class ids 0..L-1, or 255
                for void.
            clusters: the same shape, cluster ids 0..K-1. Ids under void truth are not looked at.

        Raises:
            DataError: shapes differ, values are no integers, or an id is out of range.
        """
        truth, clusters = _integers(truth, "truth"), _integers(clusters, "clusters")
        if truth.shape != clusters.shape:
            raise DataError(
                f"truth has shape {tuple(truth.shape)} and clusters {tuple(clusters.shape)}; "
                "bring both to the same size"
            )
        labelled = truth != VOID
        truth, clusters = truth[labelled], clusters[labelled].to(truth.device)
        _check_ids(truth, self.num_classes, f"truth holds class id {{}}; use {VOID} for void")
        _check_ids(clusters, self.num_clusters, "clusters hold id {}; check the number of clusters")
        pairs = truth * self.num_clusters + clusters
        self._counts += torch.bincount(pairs, minlength=len(self._counts)).cpu()

    @property
    def matrix(self) -> Matrix:
        """(L, K) counts so far: rows are true classes, columns are clusters; a copy."""
        return self._counts.view(self.num_classes, self.num_clusters).numpy().copy()


def hungarian(matrix: Matrix) -> tuple[int, ...]:
    """One-to-one matching of clusters with classes that maximises the matched pixels.

    Where several matchings reach the maximum, the one with the highest mIoU is taken, so that the
    scores do not depend on how clusters are numbered (Kuhn 1955; scipy's solver).

    Args:
        matrix: (L, K) counts.

    Returns:
        The class of each of the K clusters; -1 = unmatched, which happens to K - L clusters if
        K > L. If K < L, L - K classes get no cluster.
    """
    union = matrix.sum(1, keepdims=True) + matrix.sum(0, keepdims=True) - matrix
    # At most L IoUs of at most 1 are added up: divided by L + 1 they never outweigh one pixel.
    tie_break = matrix / np.maximum(union, 1) / (len(matrix) + 1)
    classes, clusters = linear_sum_assignment(matrix + tie_break, maximize=True)
    mapping = np.full(matrix.shape[1], -1, dtype=np.int64)
    mapping[clusters] = classes
    return tuple(mapping.tolist())


def majority(matrix: Matrix) -> tuple[int, ...]:
    """Many-to-one matching: each cluster takes its most frequent true class.

    Args:
        matrix: (L, K) counts.

    Returns:
        The class of each of the K clusters, the lower id in a tie; -1 = no labelled pixel.
    """
    return tuple(np.where(matrix.sum(0) > 0, matrix.argmax(0), -1).tolist())


@dataclass(frozen=True)
class Scores:
    """Result of an evaluation, with the protocol that it was made under.

    Attributes:
        accuracy: pixel accuracy over labelled pixels, 0..100.
        miou: dataset mIoU, 0..100: mean of `iou` over the classes that occur in the truth.
        iou: IoU of each class, 0..100; None for a class without a true pixel.
        classes: the L class names, in id order.
        mapping: class name of each cluster id; None = unmatched, its pixels count as wrong.
        protocol: data, split, size, crop, matching, K and whatever else makes scores comparable.
        confusion: (L, K) counts, rows true classes, columns cluster ids (not matched).
    """

    accuracy: float
    miou: float
    iou: dict[str, float | None]
    classes: tuple[str, ...]
    mapping: dict[int, str | None]
    protocol: dict[str, Any]
    confusion: list[list[int]]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values that survive a round trip through JSON."""
        return {
            "accuracy": self.accuracy,
            "miou": self.miou,
            "iou": dict(self.iou),
            "classes": list(self.classes),
            "mapping": {str(cluster): name for cluster, name in self.mapping.items()},
            "protocol": dict(self.protocol),
            "confusion": [list(row) for row in self.confusion],
        }


def score(
    matrix: Matrix,
    class_names: Sequence[str],
    *,
    match: Literal["hungarian", "majority"] = "hungarian",
    protocol: Mapping[str, Any],
) -> Scores:
    """Match clusters with classes once for the whole data set, then score.

    IoU of class l = tp / (row + column - tp) of the matched matrix; mIoU is the mean over the
    classes with a true pixel (the protocol of PiCIE's evaluation; Cho et al., CVPR 2021).

    Args:
        matrix: (L, K) counts, rows true classes, columns clusters.
        class_names: L different names.
        match: `hungarian` (one-to-one) or `majority` (many-to-one, flatters larger K).
        protocol: what was evaluated and how; `matching` and `K` are added to it.

    Raises:
        ConfigError: unknown matching.
        DataError: names do not fit the matrix or repeat, or there is no labelled pixel.
    """
    if match not in _MATCHINGS:
        raise ConfigError(f"unknown matching {match!r}; known: {', '.join(_MATCHINGS)}")
    matrix, names = np.asarray(matrix, dtype=np.int64), tuple(class_names)
    _check_names(matrix, names)
    find_mapping, matching = _MATCHINGS[match]
    mapping = find_mapping(matrix)
    matched = _merge_columns(matrix, mapping)
    iou = _iou_percent(matrix.sum(1), matched)
    return Scores(
        accuracy=100.0 * float(matched.trace() / matrix.sum()),
        miou=float(np.mean([value for value in iou if value is not None])),
        iou=dict(zip(names, iou, strict=True)),
        classes=names,
        mapping={k: names[label] if label >= 0 else None for k, label in enumerate(mapping)},
        protocol=dict(protocol) | {"matching": matching, "K": matrix.shape[1]},
        confusion=matrix.tolist(),
    )


_MATCHINGS: dict[str, tuple[Callable[[Matrix], tuple[int, ...]], str]] = {
    "hungarian": (hungarian, "hungarian (one-to-one)"),
    "majority": (majority, "majority (many-to-one, not comparable with one-to-one)"),
}


def _integers(values: Any, what: str) -> Tensor:
    tensor = torch.as_tensor(values)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DataError(f"{what} has type {tensor.dtype}; give whole-number ids")
    return tensor.to(torch.int64)


def _check_ids(ids: Tensor, limit: int, message: str) -> None:
    if len(ids) == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(ids))
    if low < 0 or high >= limit:
        wrong = low if low < 0 else high
        raise DataError(f"{message.format(wrong)} (known ids: 0 to {limit - 1})")


def _check_names(matrix: Matrix, names: tuple[str, ...]) -> None:
    if matrix.ndim != 2 or len(matrix) != len(names):
        raise DataError(
            f"{len(names)} class names for a confusion matrix of shape {matrix.shape}; "
            "give one name for each row"
        )
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(f"class name {repeated[0]!r} occurs more than once; make names unique")
    if not matrix.any():
        raise DataError("no labelled pixel to score; check that the masks are not all void (255)")


def _merge_columns(matrix: Matrix, mapping: tuple[int, ...]) -> Matrix:
    """(L, K) to (L, L): columns of the same class added up, unmatched ones dropped."""
    labels = np.asarray(mapping, dtype=np.int64)
    matched = np.zeros((len(matrix), len(matrix)), dtype=np.int64)
    np.add.at(matched.T, labels[labels >= 0], matrix[:, labels >= 0].T)
    return matched


def _iou_percent(rows: NDArray[np.int64], matched: Matrix) -> list[float | None]:
    hits = matched.diagonal()
    union = rows + matched.sum(0) - hits
    return [
        100.0 * float(hit / total) if row > 0 else None
        for hit, total, row in zip(hits, union, rows, strict=True)
    ]
