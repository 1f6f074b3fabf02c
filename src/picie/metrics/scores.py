"""Scores of a clustering against labels: pixel accuracy, dataset mIoU, scores per class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from picie.errors import DataError
from picie.metrics.confusion import Matrix, Percent, iou, mean, percent
from picie.metrics.groups import READINGS, Groups, GroupScores, Reading, score_groups
from picie.metrics.matching import MATCHINGS, Matching, in_class_order, match_clusters
from picie.runtime import notebook
from picie.runtime.printable import printable

__all__ = ["Scores", "how_matched", "score", "score_classes"]


@dataclass(frozen=True)
class Scores:
    """Result of an evaluation, with its protocol.

    Attributes:
        accuracy: pixel accuracy over labelled pixels, 0..100.
        miou: dataset mIoU, 0..100: mean of `iou` over the classes that occur in the truth.
        iou: IoU of each class, 0..100; None for a class without a true pixel.
        share: share of each class in the labelled pixels, 0..100.
        recall: share of the pixels of each class that are predicted as it (the accuracy of the
            class), 0..100; None for a class without a true pixel.
        precision: share of the pixels predicted as each class that belong to it, 0..100; None for a
            class without predicted pixels.
        classes: the L class names, in id order.
        mapping: class name of each cluster id; None = unmatched, its pixels count as errors.
        protocol: data, split, size, crop, matching, K and everything else that scores depend on.
        confusion: (L, K) counts, rows true classes, columns cluster ids (not matched).
        groups: scores of each named group of classes under each of the `READINGS`.
        void_share: share of void pixels in the scored images, 0..100; None if unknown.
    """

    accuracy: float
    miou: float
    iou: dict[str, float | None]
    share: dict[str, float | None]
    recall: dict[str, float | None]
    precision: dict[str, float | None]
    classes: tuple[str, ...]
    mapping: dict[int, str | None]
    protocol: dict[str, Any]
    confusion: list[list[int]]
    groups: dict[str, dict[Reading, GroupScores]] = field(default_factory=dict)
    void_share: float | None = None

    def __repr__(self) -> str:
        classes, matching = len(self.classes), self.protocol.get("matching", "unknown")
        found = f"accuracy {self.accuracy:.1f} %, mIoU {self.miou:.1f} % of {classes} classes"
        return printable(f"<Scores: {found}; matching: {matching}>")

    def _repr_html_(self) -> str:
        found = f"pixel accuracy {self.accuracy:.1f} %, dataset mIoU {self.miou:.1f} %"
        return notebook.card(f"Scores: {found}", self._table(), self._conditions())

    def _table(self) -> str:
        """What is known of each class, in per cent, as HTML."""
        ids: dict[str | None, list[str]] = {}
        for cluster, name in self.mapping.items():
            ids.setdefault(name, []).append(str(cluster))
        columns = (self.share, self.iou, self.recall, self.precision)
        rows = [
            (name, ", ".join(ids.get(name, "-")), *(_number(values[name]) for values in columns))
            for name in self.classes
        ]
        head = ("class", "ids", "share %", "IoU %", "recall %", "precision %")
        return notebook.table(rows, head)

    def _conditions(self) -> str:
        """The protocol in one line of HTML, without its lists."""
        plain = {name: one for name, one in self.protocol.items() if isinstance(one, str | int)}
        known = [f"{name} {value}" for name, value in plain.items() if value != ""]
        return notebook.paragraph("; ".join(known), quiet=True)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values that survive a round trip through JSON.

        Without groups, `groups` is omitted; with groups, `readings` explains their keys.
        """
        values: dict[str, Any] = {
            "accuracy": self.accuracy,
            "miou": self.miou,
            "iou": dict(self.iou),
            "share": dict(self.share),
            "recall": dict(self.recall),
            "precision": dict(self.precision),
            "classes": list(self.classes),
            "mapping": {str(cluster): name for cluster, name in self.mapping.items()},
            "protocol": dict(self.protocol),
            "confusion": [list(row) for row in self.confusion],
            "void_share": self.void_share,
        }
        if self.groups:
            values["readings"] = dict(READINGS)
            values["groups"] = {
                name: {reading: scores.to_json() for reading, scores in readings.items()}
                for name, readings in self.groups.items()
            }
        return values


def score(
    matrix: Matrix,
    class_names: Sequence[str],
    *,
    match: Matching = "hungarian",
    groups: Groups | None = None,
    protocol: Mapping[str, Any],
    pixels: int | None = None,
) -> Scores:
    """Match clusters with classes once for the whole data set, then score.

    IoU of class l = tp / (row + column - tp) of the matched matrix; mIoU is the mean over the
    classes with a true pixel (the protocol of PiCIE's evaluation; Cho et al., CVPR 2021).

    Args:
        matrix: (L, K) counts, rows true classes, columns clusters.
        class_names: L different names.
        match: `hungarian` (one-to-one) or `majority` (many-to-one, favours larger K).
        groups: class ids of groups that are also scored separately.
        protocol: what was evaluated and how; `matching` and `K` are added.
        pixels: number of pixels, void ones included; None = unknown.

    Raises:
        ConfigError: unknown matching.
        DataError: names do not match the matrix or repeat, there is no labelled pixel, or a group
            is invalid.
    """
    matrix, names = _checked(matrix, class_names)
    mapping = match_clusters(matrix, match)
    named = {"matching": MATCHINGS[match], "K": matrix.shape[1]}
    scored = score_groups(matrix, mapping, names, groups or {}, match)
    return _scores(matrix, names, mapping, dict(protocol) | named, scored, pixels)


def score_classes(
    matrix: Matrix,
    class_names: Sequence[str],
    *,
    mapping: Sequence[int] | None = None,
    groups: Groups | None = None,
    protocol: Mapping[str, Any],
    pixels: int | None = None,
) -> Scores:
    """Score predictions that are already classes, of a probe or by name, without matching.

    Args:
        matrix: (L, K) counts, rows true classes, columns predictions.
        class_names: L different names.
        mapping: the class of each column, -1 = none: its pixels count as errors. The classes
            themselves if None.
        groups: class ids of groups that are also scored separately; not rematched.
        protocol: what was evaluated and how; `matching` is added where it is missing.
        pixels: number of pixels, void ones included; None = unknown.

    Raises:
        DataError: names do not match the matrix or repeat, or there is no labelled pixel.
    """
    matrix, names = _checked(matrix, class_names)
    mapping = range(len(names)) if mapping is None else mapping
    named = {"matching": "none (classes were predicted)"}
    scored = score_groups(matrix, mapping, names, groups or {}, None)
    return _scores(matrix, names, mapping, named | dict(protocol), scored, pixels)


def _scores(
    matrix: Matrix,
    names: tuple[str, ...],
    mapping: Sequence[int],
    protocol: dict[str, Any],
    groups: dict[str, dict[Reading, GroupScores]],
    pixels: int | None,
) -> Scores:
    ordered = in_class_order(matrix, mapping)
    hits, rows, columns = ordered.diagonal(), ordered.sum(1), ordered.sum(0)[:-1]
    values = iou(hits, rows, columns)
    miou = mean(values)
    assert miou is not None  # there is a labelled pixel

    def by_name(values: Percent) -> dict[str, float | None]:
        plain = (None if np.isnan(value) else float(value) for value in values)
        return dict(zip(names, plain, strict=True))

    return Scores(
        accuracy=100.0 * float(hits.sum() / matrix.sum()),
        miou=miou,
        iou=by_name(values),
        share=by_name(percent(rows, np.full(len(rows), matrix.sum()))),
        recall=by_name(percent(hits, rows)),
        precision=by_name(percent(hits, columns)),
        classes=names,
        mapping={k: names[label] if label >= 0 else None for k, label in enumerate(mapping)},
        protocol=protocol,
        confusion=matrix.tolist(),
        groups=groups,
        void_share=None if pixels is None else 100.0 * (1 - float(matrix.sum() / pixels)),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _checked(matrix: Matrix, class_names: Sequence[str]) -> tuple[Matrix, tuple[str, ...]]:
    matrix, names = np.asarray(matrix, dtype=np.int64), tuple(class_names)
    if matrix.ndim != 2 or len(matrix) != len(names):
        raise DataError(
            f"{len(names)} class names for a confusion matrix of shape {matrix.shape}; "
            "give one name for each row"
        )
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(f"class name {repeated[0]!r} occurs more than once; make names unique")
    if not matrix.any():
        raise DataError(
            "no labelled pixel to score; check that the masks are not all void (255), or say what "
            "255 is, for example --mask-map 255=1"
        )
    return matrix, names


def how_matched(protocol: Mapping[str, Any]) -> str:
    """How clusters or names became classes, in plain words.

    Args:
        protocol: of `Scores`.
    """
    if protocol.get("uses_names"):
        return "classes found by name"
    # "trained model" there tells its centroids from fresh ones, also of a model without training.
    centroids = protocol["centroids"].removeprefix("trained model, ")
    return f"K = {protocol['clusters']}, matching {protocol['matching']}, clustered on {centroids}"
