"""The score of a model on the photos of a report, if they have labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from picie.data.folder import PhotoFolder
from picie.errors import DataError
from picie.evaluation.scoring import evaluate
from picie.inference.outputs import cluster_name
from picie.inference.segmenter import Segmenter
from picie.metrics.scores import Scores
from picie.reporting.content import Score
from picie.runtime.progress import Reporter
from picie.types import IGNORED

__all__ = ["score_of"]


def score_of(
    model: Segmenter,
    folder: PhotoFolder,
    *,
    size: int | None = None,
    reporter: Reporter | None = None,
) -> tuple[Score | None, str]:
    """Score by the protocol of `evaluate`, if every photo has a label.

    Args:
        model: a trained model; its clusters are scored, with or without names.
        folder: photos and masks.
        size: short side in pixels at which the network sees a photo; as in training if None.
        reporter: shows progress.

    Returns:
        the score and "", or None and the reason.
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
        evaluation = evaluate(model, folder.root, split=folder.split, size=size, reporter=reporter)
    except DataError as error:
        return None, f"The labels cannot be used: {error}"
    return _score(evaluation.scores, model), ""


def _score(scores: Scores, model: Segmenter) -> Score:
    ids = {name: number for number, name in enumerate(scores.classes)}
    columns = _columns(model)
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
        scores.accuracy, scores.miou, _protocol(scores.protocol), rows, matrix, mapping, columns
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


def _protocol(protocol: Mapping[str, Any]) -> str:
    """What was scored and how, in one sentence."""
    crop = "square centre crops" if protocol["crop"] == "center" else "whole images"
    text = (
        f"{protocol['images']} images ({protocol['split']}), {crop} at {protocol['size']} px, "
        f"K = {protocol['clusters']}, matching {protocol['matching']}, {protocol['centroids']}, "
        f"post-processing {protocol['post_processing']}"
    )
    if protocol["unreadable"]:
        text += f", {protocol['unreadable']} unreadable"
    return f"{text}. Compare only scores of the same protocol."
