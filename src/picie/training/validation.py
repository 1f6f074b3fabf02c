"""Validation of a run: scores for its curves, final centroids, health."""

from typing import Any

import torch

from picie.clustering.features import fit_clean_centroids, keep_centroids
from picie.clustering.kept_stages import KeptStages
from picie.clustering.vote import Vote
from picie.config import Config
from picie.data.crop_loader import BaseCrops, Loader, counted, image_loader
from picie.evaluation.health import HEALTH_IMAGES, measure_health
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.runtime.distributed import Processes
from picie.runtime.progress import Reporter

__all__ = ["check_health", "cluster_clean_images", "curve_values"]


def curve_values(model: PiCIE, config: Config, device: torch.device) -> dict[str, Any]:
    """Accuracy and mIoU on the labelled split `eval_split`, which training does not use.

    Args:
        model: with centroids.
        config: reads `data`, `dataset`, `eval_split` and `size`, and passes all to the model.
        device: device of the network.

    Returns:
        `accuracy` and `miou` of view 1 or of clean centroids, then `accuracy_view2` and so on.
    """
    segmenter = Segmenter(model, config.model_copy(update={"device": str(device)}))
    evaluation = evaluate(
        segmenter,
        config.data,
        split=config.eval_split,
        dataset=config.dataset,
        size=config.size,
    )
    values: dict[str, Any] = {
        "accuracy": evaluation.scores.accuracy,
        "miou": evaluation.scores.miou,
    }
    for number, other in enumerate(evaluation.other_views, 2):
        values |= {f"accuracy_view{number}": other.accuracy, f"miou_view{number}": other.miou}
    return values


def cluster_clean_images(
    model: PiCIE,
    loader: Loader,
    count: int,
    config: Config,
    reporter: Reporter,
    processes: Processes,
    stages: KeptStages | None = None,
) -> Vote:
    """Replace the centroids of the model by those of unaugmented images.

    Args:
        model: the network; its centroids are replaced.
        loader: reads the images.
        count: number of images N.
        config: as for training.
        reporter: shows the progress.
        processes: the processes that share the work.
        stages: maps of images that were kept in earlier passes.

    Returns:
        How their tree was chosen.
    """
    with reporter.task("clustering", min(count, config.kmeans_images)) as advance:
        counting = counted(loader, advance)
        fit = fit_clean_centroids(
            model, counting, count, config, processes=processes, stages=stages
        )
    keep_centroids(model, fit)
    return fit.vote


def check_health(
    model: PiCIE,
    crops: BaseCrops,
    count: int,
    config: Config,
    device: torch.device,
    reporter: Reporter,
    stages: KeptStages | None = None,
) -> dict[str, float]:
    """Measure the label-free health of a trained model; returns the result of `measure_health`.

    Args:
        model: the final model.
        crops: base crops of the images that it was trained on.
        count: number of images N.
        config: as for training.
        device: device of the network.
        reporter: shows the progress.
        stages: maps, in float32, of images that were kept in earlier passes.
    """
    segmenter = Segmenter(model, config.model_copy(update={"device": str(device)}))
    with reporter.task("health", min(count, HEALTH_IMAGES)) as advance:
        loader = counted(image_loader(crops, config, device), advance)
        return measure_health(segmenter, loader, count, stages)
