"""Validation of a run: scores for its curves, its last centroids, its health."""

from typing import Any

import torch

from picie.clustering.features import fit_clean_centroids, keep_centroids
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
    """Accuracy and mIoU on the labelled split that the config names; nothing is learnt from it.

    Args:
        model: with centroids.
        config: names the images, `eval_split` and `size`.
        device: where the network is.

    Returns:
        `accuracy` and `miou` of view 1 or of clean centroids, `accuracy_view2` and so on.
    """
    segmenter = Segmenter(model, config.model_copy(update={"device": str(device)}))
    found = evaluate(
        segmenter,
        config.data,
        split=config.eval_split,
        dataset=config.dataset,
        size=config.size,
    )
    values: dict[str, Any] = {"accuracy": found.scores.accuracy, "miou": found.scores.miou}
    for number, other in enumerate(found.other_views, 2):
        values |= {f"accuracy_view{number}": other.accuracy, f"miou_view{number}": other.miou}
    return values


def cluster_clean_images(
    model: PiCIE,
    loader: Loader,
    count: int,
    config: Config,
    reporter: Reporter,
    processes: Processes,
) -> None:
    """Give the model the centroids of un-augmented images.

    Args:
        model: the network; its centroids are replaced.
        loader: reads the images.
        count: number of images N.
        config: as for training.
        reporter: shows how far it came.
        processes: those that share the work.
    """
    with reporter.task("clustering", min(count, config.kmeans_images)) as advance:
        counting = counted(loader, advance)
        fit = fit_clean_centroids(model, counting, count, config, processes=processes)
    keep_centroids(model, fit)


def check_health(
    model: PiCIE,
    crops: BaseCrops,
    count: int,
    config: Config,
    device: torch.device,
    reporter: Reporter,
) -> dict[str, float]:
    """Measure, without labels, how well the training went; as `measure_health` gives it.

    Args:
        model: as it is shipped.
        crops: of the images it was trained on.
        count: number of images N.
        config: as for training.
        device: where the network is.
        reporter: shows how far it came.
    """
    segmenter = Segmenter(model, config.model_copy(update={"device": str(device)}))
    with reporter.task("health", min(count, HEALTH_IMAGES)) as advance:
        loader = counted(image_loader(crops, config, device), advance)
        return measure_health(segmenter, loader, count)
