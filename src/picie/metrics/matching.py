"""Matching of clusters with classes, and the confusion matrix in class order."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from picie.errors import ConfigError
from picie.metrics.confusion import Matrix

__all__ = [
    "MATCHINGS",
    "Matching",
    "check_matching",
    "hungarian",
    "in_class_order",
    "majority",
    "match_clusters",
]

Matching = Literal["hungarian", "majority"]

MATCHINGS: dict[Matching, str] = {
    "hungarian": "hungarian (one-to-one)",
    "majority": "majority (many-to-one, not comparable with one-to-one)",
}
"""Description of each matching in results."""


def check_matching(match: str) -> None:
    """Raise if the name of a matching is unknown.

    Raises:
        ConfigError: unknown matching.
    """
    if match not in _RULES:
        raise ConfigError(f"unknown matching {match!r}; known: {', '.join(_RULES)}")


def match_clusters(matrix: Matrix, match: Matching) -> tuple[int, ...]:
    """The class of each cluster under a matching; -1 = unmatched.

    Raises:
        ConfigError: unknown matching.
    """
    check_matching(match)
    return _RULES[match](matrix)


def hungarian(matrix: Matrix) -> tuple[int, ...]:
    """One-to-one matching of clusters with classes that maximises the matched pixels.

    Among matchings with equal maxima, the one with the highest mIoU is used, so that scores do not
    depend on the numbering of the clusters (Kuhn 1955; scipy's solver).

    Args:
        matrix: (L, K) counts.

    Returns:
        The class of each of the K clusters; -1 = unmatched. If K > L, K - L clusters are unmatched;
        if K < L, L - K classes get no cluster.
    """
    union = matrix.sum(1, keepdims=True) + matrix.sum(0, keepdims=True) - matrix
    # A sum of at most L IoUs of at most 1, divided by L + 1, never outweighs one pixel.
    tie_break = matrix / np.maximum(union, 1) / (len(matrix) + 1)
    classes, clusters = linear_sum_assignment(matrix + tie_break, maximize=True)
    mapping = np.full(matrix.shape[1], -1, dtype=np.int64)
    mapping[clusters] = classes
    return tuple(mapping.tolist())


def majority(matrix: Matrix) -> tuple[int, ...]:
    """Many-to-one matching: each cluster gets its most frequent true class.

    Args:
        matrix: (L, K) counts.

    Returns:
        The class of each of the K clusters, the lowest id in a tie; -1 = no labelled pixel.
    """
    return tuple(np.where(matrix.sum(0) > 0, matrix.argmax(0), -1).tolist())


def in_class_order(matrix: Matrix, mapping: Sequence[int]) -> Matrix:
    """Move the COLUMNS of a confusion matrix to the positions of their classes; rows stay.

    Moving the rows to the positions of their clusters instead would keep the trace, and so accuracy
    and mIoU over all classes, but a group of classes would no longer be a range of rows.

    Args:
        matrix: (L, K) counts.
        mapping: the class of each of the K clusters, -1 = unmatched.

    Returns:
        (L, L + 1) counts: column l is the sum over the clusters of class l, the last column that
        over unmatched clusters. Row sums equal those of `matrix`.

    Example:
        >>> in_class_order(np.array([[1, 2, 3], [4, 5, 6]]), (1, -1, 0)).tolist()
        [[3, 1, 2], [6, 4, 5]]
    """
    ordered = np.zeros((len(matrix), len(matrix) + 1), dtype=np.int64)
    np.add.at(ordered.T, np.asarray(mapping, dtype=np.int64), matrix.T)  # -1 is the last column
    return ordered


_RULES: dict[str, Callable[[Matrix], tuple[int, ...]]] = {
    "hungarian": hungarian,
    "majority": majority,
}
