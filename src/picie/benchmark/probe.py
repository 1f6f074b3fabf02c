"""The probe of a suite: a classifier that learns the labels of the training images.

Its mIoU on the features before training says how much of the classes these features hold; what a
system reaches is compared with it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from picie.benchmark.plan import Job
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.data.masks import mask_rule
from picie.data.reading import Reading
from picie.errors import DataError
from picie.evaluation.labelled import LabelledImages
from picie.evaluation.probes import ProbeSettings, run_probes
from picie.inference.segmenter import Segmenter
from picie.metrics.scores import score_classes
from picie.runtime.progress import Reporter

__all__ = ["check_probe", "probe_features"]


def check_probe(job: Job) -> None:
    """Fail before anything runs if there are no labels to learn from.

    Raises:
        DataError: the training images have none, or there is only one image.
    """
    _folds(job, None)


def probe_features(
    model: Segmenter,
    job: Job,
    kind: Literal["linear", "knn"],
    evaluate: Mapping[str, Any],
    reporter: Reporter,
) -> dict[str, Any]:
    """Scores of a probe under the protocol of the suite.

    It learns from the training images that are not scored. If all of them are scored, it learns
    from every second image and is scored on the others, and the other way round.

    Args:
        model: the run whose features are probed.
        job: its place in the suite.
        kind: of the probe.
        evaluate: the protocol of the suite.
        reporter: shows progress.

    Returns:
        `Scores.to_json()`, with kind; images, the number that were learnt from; and halves, whether
            it learnt twice from half of the images.
    """
    folds = _folds(job, model.config.reading)
    side, crop = evaluate.get("size", model.config.size), evaluate.get("crop", "center")
    rule = mask_rule(
        evaluate.get("void", "auto"),
        evaluate.get("mask_map", ()),
        evaluate.get("mask_orientation", "auto"),
    )
    found = [
        run_probes(
            Segmenter(model.network, model.config.model_copy(update={"size": side})),
            LabelledImages(learnt, side, crop, rule),
            LabelledImages(scored, side, crop, rule),
            ProbeSettings(kind, job.data.train, seed=job.seed),
            protocol={"split": job.data.eval, "size": side, "crop": crop},
            reporter=reporter,
        )[kind]
        for learnt, scored in folds
    ]
    matrix = np.array([one.confusion for one in found], dtype=np.int64).sum(0)
    scores = score_classes(matrix, found[0].classes, protocol=found[0].protocol)
    images = sum(len(learnt) for learnt, _ in folds)
    return {"kind": kind, "images": images, "halves": len(folds) > 1} | scores.to_json()


def _folds(job: Job, reading: Reading | None) -> list[tuple[PhotoFolder, PhotoFolder]]:
    """What is learnt from and what is then scored; no image is in both."""
    data = job.data
    scored = open_dataset(data.dataset, job.images, data.eval, labelled=True, reading=reading)
    if reading is not None:
        reading = scored.reading
    try:
        learnt = open_dataset(data.dataset, job.images, data.train, labelled=True, reading=reading)
    except DataError as error:
        split = data.train or "all images"
        raise DataError(f"[summary] probe learns the labels of {split}: {error}") from None
    files = {photo.file for photo in scored.photos}
    others = tuple(photo for photo in learnt.photos if photo.file not in files)
    if others:
        return [(replace(learnt, photos=others), scored)]
    if len(scored) < 2:
        raise DataError(
            f"{job.images}: [summary] probe learns from other images than those that are scored, "
            "and there is only one; add some, or leave [summary] out"
        )
    halves = [replace(scored, photos=scored.photos[start::2]) for start in (0, 1)]
    return [(halves[1], halves[0]), (halves[0], halves[1])]
