"""Which class each cluster stands for, and the confusion matrix in that order."""

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
"""What a result calls the matching that it was made with."""


def check_matching(match: str) -> None:
    """Refuse a name that is no matching.

    Raises:
        ConfigError: unknown matching.
    """
    if match not in _RULES:
        raise ConfigError(f"unknown matching {match!r}; known: {', '.join(_RULES)}")


def match_clusters(matrix: Matrix, match: Matching) -> tuple[int, ...]:
    """The class of each cluster by the matching of that name; -1 = unmatched.

    Raises:
        ConfigError: unknown matching.
    """
    check_matching(match)
    return _RULES[match](matrix)


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


def in_class_order(matrix: Matrix, mapping: Sequence[int]) -> Matrix:
    """The COLUMNS of a confusion matrix moved to the places of their classes; rows stay.

    Moving the rows to the places of their clusters instead keeps the trace, and with it accuracy
    and mIoU of all classes, but then no range of rows is a group of classes any more.

    Args:
        matrix: (L, K) counts.
        mapping: the class of each of the K clusters, -1 = unmatched.

    Returns:
        (L, L + 1) counts: column l adds up the clusters of class l, the last one those of none. The
        sums of the rows are those of `matrix`.

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
