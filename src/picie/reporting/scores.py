"""The score of a model on the photos of a report, where they have labels."""

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
    """Scores by the protocol of `evaluate` where every photo has a label.

    Args:
        model: a trained model; its clusters are scored, whether or not they have names.
        folder: photos and masks.
        size: short side in pixels at which the network sees a photo; as in training if None.
        reporter: shows how far it came.

    Returns:
        the score and "", or None and a sentence that says why there is none.
    """
    labelled = len(folder.labelled)
    if not folder.classes or not labelled:
        return None, (
            f"There are no labels: {folder.root} has no masks/ and classes.txt. Nothing here needs "
            "them."
        )
    if labelled < len(folder):
        return None, (
            f"Only {labelled} of {len(folder)} photos have a mask, and a score needs one for each: "
            "name those that have one in a list file, and pass it as --split."
        )
    try:
        found = evaluate(model, folder.root, split=folder.split, size=size, reporter=reporter)
    except DataError as error:
        return None, f"The labels cannot be used: {error}"
    return _score(found.scores, model), ""


def _score(scores: Scores, model: Segmenter) -> Score:
    ids = {name: number for number, name in enumerate(scores.classes)}
    columns = _columns(model)
    owned: dict[str, list[str]] = {name: [] for name in scores.classes}
    for cluster, owner in scores.mapping.items():
        if owner is not None:
            owned[owner].append(columns[cluster][0])
    values = (scores.iou, scores.recall, scores.precision, scores.share)
    rows = tuple(
        (name, tuple(one[name] for one in values), ", ".join(owned[name]))
        for name in scores.classes
    )
    mapping = tuple(-1 if owner is None else ids[owner] for owner in scores.mapping.values())
    matrix = np.array(scores.confusion, dtype=np.int64)
    return Score(
        scores.accuracy, scores.miou, _protocol(scores.protocol), rows, matrix, mapping, columns
    )


def _columns(model: Segmenter) -> tuple[tuple[str, int], ...]:
    """What each cluster of the network is called, and the id that most of its centroids have."""
    groups = model.network.groups[0].cpu()
    ids = model.centroid_ids
    found = []
    for cluster in range(model.network.clusters):
        own = int(ids[groups == cluster].bincount().argmax())
        name = cluster_name(cluster)
        if own < model.clusters and model.names[own] != name:
            name += f" ({model.names[own]})"
        found.append((name, own if own < model.clusters else IGNORED))
    return tuple(found)


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
    return f"{text}. Only scores of one protocol can be compared."
