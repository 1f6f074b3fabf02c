"""From a pair of views to the losses of one training step."""

import torch
from torch import Tensor

from picie.clustering.pseudo_labels import nearest
from picie.config import Config
from picie.models.picie import PiCIE
from picie.objectives.picie import picie_losses
from picie.processes import Processes
from picie.profiling import Clock
from picie.targets import Targets
from picie.types import Losses, ViewPair
from picie.views.geometric import resample

__all__ = ["compute_losses"]


def compute_losses(
    model: PiCIE,
    targets: Targets,
    pair: ViewPair,
    config: Config,
    *,
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> tuple[Losses, Tensor]:
    """Features, pseudo-labels and the four cross-entropies (PiCIE, section 3.3).

    Args:
        model: the network that learns.
        targets: centroids, weights and the frozen copy that labels.
        pair: the two views of a batch, or of this process' share of one.
        config: rules and temperature.
        processes: those that share the batch; losses and gradients are to be added up over them.
        clock: measures the parts.

    Returns:
        the losses, and the (2, K) counts of the pseudo-labels of each view.
    """
    clock = clock or Clock()
    processes = processes or Processes()
    rows, labels = [], []
    for view, images in enumerate((pair.first, pair.second)):
        with clock.part("label forward"):
            stages, labelled = _teacher_maps(targets.teacher, images, config)
        with clock.part("forward"):
            learning = model(images) if stages is None else model.decoder(stages)
        with clock.part("labels"):
            if view == 1:
                labelled = resample(labelled, pair.rows, pair.columns)
            fit = targets.fits[view]
            near = nearest(_rows(labelled), fit.clusters.centroids, config.label_rule)
            labels.append(fit.groups[near])
        with clock.part("loss"):
            if view == 1:
                learning = resample(learning, pair.rows, pair.columns)
            rows.append(_rows(learning))
    with clock.part("loss"):
        losses = picie_losses(
            (rows[0], rows[1]),
            (labels[0], labels[1]),
            targets.prototypes,
            temperature=config.temperature,
            reduce=processes.sum,
        )
        counts = [_counts(one, config.clusters) for one in labels]
    return losses, torch.stack(counts)


def _counts(labels: Tensor, clusters: int) -> Tensor:
    """(K,) int64; bincount would wait for a GPU to look for the largest label."""
    return labels.new_zeros(clusters).scatter_add_(0, labels, torch.ones_like(labels))


def _rows(maps: Tensor) -> Tensor:
    """(B h w, D): one row per pixel."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _teacher_maps(
    teacher: PiCIE, images: Tensor, config: Config
) -> tuple[list[Tensor] | None, Tensor]:
    """The teacher's (B, D, h, w), and the stages of the backbone where both networks share it."""
    with torch.no_grad():
        if config.backbone_rate or config.batchnorm == "batch":
            return None, teacher(images)
        # A frozen backbone is the same network in both: it runs once.
        stages = teacher.backbone(images)
        return stages, teacher.decoder(stages)
