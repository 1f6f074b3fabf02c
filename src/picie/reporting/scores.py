"""The score of a model on the photos of a report, if they have labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from picie.data.folder import PhotoFolder
from picie.data.masks import PLAIN, MaskRule
from picie.errors import DataError
from picie.evaluation.scoring import Evaluation, evaluate
from picie.inference.outputs import cluster_name
from picie.inference.segmenter import Segmenter
from picie.metrics.scores import Scores, how_matched
from picie.reporting.content import Score
from picie.runtime.progress import Reporter
from picie.types import IGNORED

__all__ = ["score_of"]


def score_of(
    model: Segmenter,
    folder: PhotoFolder,
    *,
    size: int | None = None,
    rule: MaskRule = PLAIN,
    reporter: Reporter | None = None,
) -> tuple[Score | None, str]:
    """Score by the protocol of `evaluate`, if every photo has a label.

    Args:
        model: a trained model; classes are scored if it has names that the folder knows, else
            clusters.
        folder: photos and masks.
        size: short side in pixels at which the network sees a photo; as in training if None.
        rule: what the user says about the masks.
        reporter: shows progress.

    Returns:
        the score and "", or None and the reason.

    Raises:
        ConfigError: a rule that cannot apply to these masks.
    """
    labelled = len(folder.labelled)
    if not folder.classes or not labelled:
        return None, (
            f"There are no labels: {folder.root} has no masks/ and classes.txt. The rest of this "
            "page needs none."
        )
    if labelled < len(folder):
        return None, (
            f"Only {labelled} of {len(folder)} photos have a mask, but a score needs one for each: "
            "list the photos that have one in a file, and pass it as --split."
        )
    try:
        evaluation = evaluate(
            model,
            folder.root,
            split=folder.split,
            size=size,
            void=rule.void if rule.stated else "auto",
            mask_map=dict(rule.classes),
            mask_orientation=rule.orientation,
            reporter=reporter,
        )
    except DataError as error:
        return None, f"The labels cannot be used: {error}"
    return _score(evaluation, model), ""


def _score(evaluation: Evaluation, model: Segmenter) -> Score:
    scores = evaluation.scores
    ids = {name: number for number, name in enumerate(scores.classes)}
    columns = _named_columns(scores) if scores.protocol["uses_names"] else _columns(model)
    owned: dict[str, list[str]] = {name: [] for name in scores.classes}
    for cluster, owner in scores.mapping.items():
        if owner is not None:
            owned[owner].append(columns[cluster][0])
    values = (scores.iou, scores.recall, scores.precision, scores.share)
    rows = tuple(
        (name, tuple(metric[name] for metric in values), ", ".join(owned[name]))
        for name in scores.classes
    )
    mapping = tuple(-1 if owner is None else ids[owner] for owner in scores.mapping.values())
    matrix = np.array(scores.confusion, dtype=np.int64)
    return Score(
        scores.accuracy,
        scores.miou,
        _protocol(scores.protocol, scores.void_share),
        rows,
        matrix,
        mapping,
        columns,
        evaluation.notes,
        uses_names=bool(scores.protocol["uses_names"]),
    )


def _named_columns(scores: Scores) -> tuple[tuple[str, int], ...]:
    """The name of each id in masks, and the id; ignored pixels last."""
    names = scores.protocol["columns"]
    last = len(names) - 1
    return tuple(
        (name, IGNORED if number == last and name == "ignored" else number)
        for number, name in enumerate(names)
    )


def _columns(model: Segmenter) -> tuple[tuple[str, int], ...]:
    """The label of each cluster of the network, and the id of most of its centroids."""
    groups = model.network.groups[0].cpu()
    ids = model.centroid_ids
    columns = []
    for cluster in range(model.network.clusters):
        main_id = int(ids[groups == cluster].bincount().argmax())
        name = cluster_name(cluster)
        if main_id < model.clusters and model.names[main_id] != name:
            name += f" ({model.names[main_id]})"
        columns.append((name, main_id if main_id < model.clusters else IGNORED))
    return tuple(columns)


def _protocol(protocol: Mapping[str, Any], void_share: float | None) -> str:
    """What was scored and how, in one sentence."""
    crop = "square centre crops" if protocol["crop"] == "center" else "whole images"
    text = (
        f"{protocol['images']} images ({protocol['split']}), {crop} at {protocol['size']} px, "
        f"{how_matched(protocol)}, post-processing {protocol['post_processing']}"
    )
    if void_share is not None:
        text += f", {void_share:.1f} % of the pixels void"
    if protocol["unreadable"]:
        text += f", {protocol['unreadable']} unreadable"
    return f"{text}. Compare only scores of the same protocol."
