"""From a pair of views to the losses of one training step."""

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, nearest, scores
from picie.config import Config
from picie.models.picie import PiCIE
from picie.objectives.picie import picie_losses
from picie.targets import Targets
from picie.types import Losses, ViewPair
from picie.views.geometric import resample

__all__ = ["compute_losses"]


def compute_losses(
    model: PiCIE, targets: Targets, pair: ViewPair, config: Config
) -> tuple[Losses, Tensor]:
    """Features, pseudo-labels and the four cross-entropies (PiCIE, section 3.3).

    Args:
        model: the network that learns.
        targets: centroids, weights and the frozen copy that labels.
        pair: the two views of a batch.
        config: rules and temperature.

    Returns:
        the losses, and the (2, K) counts of the pseudo-labels of each view.
    """
    features, labels, logits = [], [], {}
    for view, images in enumerate((pair.first, pair.second)):
        student, teacher = _maps(model, targets.teacher, images, config)
        if view == 1:
            student = resample(student, pair.rows, pair.columns)
            teacher = resample(teacher, pair.rows, pair.columns)
        features.append(F.normalize(student, dim=1))
        fit = targets.fits[view]
        near = nearest(F.normalize(teacher, dim=1), fit.clusters.centroids, config.label_rule)
        labels.append(fit.groups[near])
    for view in (0, 1):
        for other, fit in enumerate(targets.fits):
            each = scores(features[view], fit.clusters.centroids, config.logit_rule)
            logits[view, other] = group_scores(each, fit.groups)
    losses = picie_losses(
        logits, (labels[0], labels[1]), targets.weights, temperature=config.temperature
    )
    counts = [torch.bincount(one.flatten(), minlength=config.clusters) for one in labels]
    return losses, torch.stack(counts)


def _maps(model: PiCIE, teacher: PiCIE, images: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Un-normalised (B, D, h, w) of the network, with gradient, and of its frozen copy."""
    if config.backbone_rate or config.batchnorm == "batch":
        with torch.no_grad():
            labelled = teacher(images)
        return model(images), labelled
    # A frozen backbone is the same network in both: it runs once.
    with torch.no_grad():
        stages = model.backbone(images)
        labelled = teacher.decoder(stages)
    return model.decoder(stages), labelled
