"""Scores of a network in the middle of its training, for curves over the epochs."""

from typing import Any

import torch

from picie.config import Config
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE

__all__ = ["curve_values"]


def curve_values(model: PiCIE, config: Config, device: torch.device) -> dict[str, Any]:
    """Accuracy and mIoU on the labelled split that the config names; nothing is learnt from it.

    Args:
        model: with centroids.
        config: names the pictures, `eval_split` and `eval_size`.
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
        size=config.eval_size,
    )
    values: dict[str, Any] = {"accuracy": found.scores.accuracy, "miou": found.scores.miou}
    for number, other in enumerate(found.other_views, 2):
        values |= {f"accuracy_view{number}": other.accuracy, f"miou_view{number}": other.miou}
    return values
