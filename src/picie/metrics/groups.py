"""Scores of a group of classes, for example the things or the stuff of COCO-Stuff.

The literature uses three different definitions ("readings") under one name. They differ by tens of
points on the same matrix, so every result states its reading. None of them is what the code of
PiCIE logs: that code permutes the rows of the confusion matrix to the order of their clusters but
not the columns, and so scores a random set of clusters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from picie.errors import DataError
from picie.metrics.confusion import Matrix, Percent, iou, mean
from picie.metrics.matching import Matching, in_class_order, match_clusters

__all__ = [
    "READINGS",
    "GroupScores",
    "Groups",
    "Reading",
    "check_groups",
    "score_block",
    "score_groups",
    "score_rematched",
    "score_rows",
]

Groups = Mapping[str, Sequence[int]]
"""Class ids of each named group; a class may be in several groups, or in none."""

Reading = Literal["block", "rows", "rematched"]

READINGS: dict[Reading, str] = {
    "block": (
        "all classes matched together; then the pixels of other classes and the pixels in clusters "
        "of other classes are removed"
    ),
    "rows": (
        "all classes matched together; pixels of these classes in any cluster, IoU as among all "
        "classes"
    ),
    "rematched": "pixels of other classes ignored, and all clusters matched again with these alone",
}
"""Definition of each reading; scores of different readings are not comparable."""


@dataclass(frozen=True)
class GroupScores:
    """Scores of one group of classes under one reading.

    Attributes:
        accuracy: pixel accuracy, 0..100; None if there are no pixels.
        miou: mean of `iou` over the classes of the group that occur in the truth, 0..100; None if
            there are none.
        iou: IoU of each class of the group, 0..100; None for a class that does not occur.
    """

    accuracy: float | None
    miou: float | None
    iou: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {"accuracy": self.accuracy, "miou": self.miou, "iou": dict(self.iou)}


def check_groups(groups: Groups, num_classes: int) -> None:
    """Raise if groups cannot be scored.

    Raises:
        DataError: a group without classes, or with unknown or repeated ones.
    """
    for name, ids in groups.items():
        unknown = [label for label in ids if not 0 <= label < num_classes]
        if unknown:
            raise DataError(
                f"group {name!r} holds class id {unknown[0]}; known ids: 0 to {num_classes - 1}"
            )
        if not ids or len(set(ids)) < len(ids):
            raise DataError(f"group {name!r} must hold at least one class, and each only once")


def score_groups(
    matrix: Matrix,
    mapping: Sequence[int],
    class_names: Sequence[str],
    groups: Groups,
    match: Matching | None,
) -> dict[str, dict[Reading, GroupScores]]:
    """Score each group under each reading.

    Args:
        matrix: (L, K) counts.
        mapping: the class of each cluster from the ONE matching of all classes, -1 = unmatched.
        class_names: L names.
        groups: class ids by name.
        match: matching for the reading `rematched`; None = without it.

    Raises:
        DataError: as `check_groups`.
    """
    check_groups(groups, len(matrix))
    ordered = in_class_order(matrix, mapping)
    scored: dict[str, dict[Reading, GroupScores]] = {}
    for name, ids in groups.items():
        scored[name] = {
            "block": score_block(ordered, ids, class_names),
            "rows": score_rows(ordered, ids, class_names),
        }
        if match is not None:
            scored[name]["rematched"] = score_rematched(matrix, ids, class_names, match)
    return scored


def score_block(ordered: Matrix, ids: Sequence[int], class_names: Sequence[str]) -> GroupScores:
    """Score pixels in rows AND columns of the group; unmatched clusters count as errors.

    A class that occurs only in clusters of other groups has IoU 0.

    Args:
        ordered: (L, L + 1) counts in class order, as from `in_class_order`.
        ids: classes of the group.
        class_names: L names.
    """
    chosen = list(ids)
    block = ordered[np.ix_(chosen, [*chosen, len(ordered)])]
    hits, rows, columns = block.diagonal(), block.sum(1), block.sum(0)[: len(chosen)]
    values = iou(hits, rows, columns, true=ordered[chosen].sum(1))
    return _scores(hits.sum(), rows.sum(), values, [class_names[label] for label in chosen])


def score_rows(ordered: Matrix, ids: Sequence[int], class_names: Sequence[str]) -> GroupScores:
    """Score all pixels of the group's classes; the IoU of a class is that among all classes.

    Args:
        ordered: (L, L + 1) counts in class order, as from `in_class_order`.
        ids: classes of the group.
        class_names: L names.
    """
    chosen = list(ids)
    rows, columns = ordered.sum(1)[chosen], ordered.sum(0)[chosen]
    hits = ordered.diagonal()[chosen]
    values = iou(hits, rows, columns)
    return _scores(hits.sum(), rows.sum(), values, [class_names[label] for label in chosen])


def score_rematched(
    matrix: Matrix, ids: Sequence[int], class_names: Sequence[str], match: Matching
) -> GroupScores:
    """Score the group as a separate data set: its rows, all K clusters, and a new matching.

    Args:
        matrix: (L, K) counts, columns in cluster order.
        ids: classes of the group.
        class_names: L names.
        match: rule of the matching.
    """
    rows = matrix[list(ids)]
    ordered = in_class_order(rows, match_clusters(rows, match))
    return score_rows(ordered, range(len(rows)), [class_names[label] for label in ids])


def _scores(hits: Any, pixels: Any, values: Percent, names: Sequence[str]) -> GroupScores:
    accuracy = 100.0 * float(hits / pixels) if pixels else None
    plain = [None if np.isnan(value) else float(value) for value in values]
    return GroupScores(accuracy, mean(values), dict(zip(names, plain, strict=True)))
