"""The optimiser, and the losses of one training step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import nearest
from picie.config import Config
from picie.models.picie import PiCIE
from picie.objectives.iic import iic_loss
from picie.objectives.mdc import mdc_losses, parametric_losses
from picie.objectives.picie import add_auxiliary, picie_losses
from picie.runtime.devices import adam
from picie.runtime.distributed import Processes
from picie.runtime.profiler import Clock
from picie.training.targets import Heads, Level, Targets
from picie.types import Losses, ViewPair
from picie.views.geometric import resample

__all__ = ["compute_losses", "make_optimizer"]

_DISPLACEMENT = 1  # cells; the largest shift of pixels that IIC pairs
_APART = 2  # cells between those that are compared while the backbone is frozen


def make_optimizer(model: PiCIE, heads: Heads | None, config: Config) -> torch.optim.Optimizer:
    """Adam over all trainable parameters; the backbone is frozen if `backbone_rate` is 0.

    Args:
        model: on its device.
        heads: heads of IIC, or None.
        config: reads `learning_rate` and `backbone_rate`.
    """
    trains_backbone = config.backbone_rate > 0
    model.backbone.requires_grad_(trains_backbone)
    learnt = [*model.decoder.parameters(), *(heads.parameters() if heads else ())]
    groups: list[dict[str, Any]] = [{"params": learnt}]
    if trains_backbone:
        rate = config.learning_rate * config.backbone_rate
        groups.append({"params": list(model.backbone.parameters()), "lr": rate})
    return adam(groups, config.learning_rate, learnt[0].device)


def compute_losses(
    model: PiCIE,
    targets: Targets | Heads,
    pair: ViewPair,
    config: Config,
    *,
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> tuple[Losses, Tensor]:
    """Compute features, pseudo-labels and the losses of the objective.

    Args:
        model: the network that is trained.
        targets: the targets of the epoch.
        pair: the two views of a batch, or of this process' share of it.
        config: objective, rules and temperature.
        processes: the processes that share the batch; losses and gradients must be summed over
            them.
        clock: measures the time of each part.

    Returns:
        The losses, and the (V, K) counts of the (pseudo-)labels of each of V views.
    """
    clock, processes = clock or Clock(), processes or Processes()
    if isinstance(targets, Heads):
        return _information_losses(model, targets, pair, config, processes, clock)
    rows, labels = _rows_and_labels(model, targets, pair, config, clock)
    with clock.part("loss"):
        level_losses = [
            _level_losses(rows, one, level, config, processes)
            for one, level in zip(labels, targets.levels, strict=True)
        ]
        losses = level_losses[0]
        if len(level_losses) == 2:
            weights = (targets.levels[0].weight, targets.levels[1].weight)
            losses = add_auxiliary(losses, level_losses[1], weights)
        counts = [_counts(one, config.clusters) for one in labels[0]]
    return losses, torch.stack(counts)


def _rows_and_labels(
    model: PiCIE, targets: Targets, pair: ViewPair, config: Config, clock: Clock
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Features (N, D) per view, and per level the labels (N,) per view.

    With a frozen backbone every second cell along both axes is enough: neighbours are nearly equal,
    and the loss of all would take as long as the decoder.
    """
    apart = 1 if config.backbone_rate else _APART
    compared = pair.rows[:, ::apart], pair.columns[:, ::apart]
    rows: list[Tensor] = []
    labels: list[list[Tensor]] = [[] for _ in targets.levels]
    for view in config.views:
        images = (pair.first, pair.second)[view]
        with clock.part("label forward"):
            stages, labelled = _teacher_maps(targets.teacher, images, config)
        with clock.part("forward"):
            learning = model(images) if stages is None else model.decoder(stages)
        with clock.part("labels"):
            points = _rows(_compared(labelled, view, compared, apart))
            for level_labels, level in zip(labels, targets.levels, strict=True):
                fit, rule = level.fits[view], config.label_rule
                centroids = nearest(points, fit.clusters.centroids, rule, unit=config.unit_features)
                level_labels.append(fit.groups[centroids])
        with clock.part("loss"):
            rows.append(_rows(_compared(learning, view, compared, apart)))
    return rows, labels


def _compared(maps: Tensor, view: int, matrices: tuple[Tensor, Tensor], apart: int) -> Tensor:
    """(B, D, h, w): the cells of a view that have a counterpart in the other one."""
    return maps[:, :, ::apart, ::apart] if view == 0 else resample(maps, *matrices)


def _level_losses(
    rows: Sequence[Tensor],
    labels: Sequence[Tensor],
    level: Level,
    config: Config,
    processes: Processes,
) -> Losses:
    unit, reduce, prototypes = config.unit_features, processes.sum, level.prototypes
    cross_view = config.objective != "picie-within"
    if level.classifiers:
        weights = [one.weights for one in prototypes]
        return parametric_losses(
            rows, labels, level.classifiers, weights, cross_view=cross_view, unit=unit,
            reduce=reduce,
        )  # fmt: skip
    if len(rows) == 1:
        return mdc_losses(
            rows[0], labels[0], prototypes[0], temperature=config.temperature, unit=unit,
            reduce=reduce,
        )  # fmt: skip
    return picie_losses(
        (rows[0], rows[1]), (labels[0], labels[1]), (prototypes[0], prototypes[1]),
        temperature=config.temperature, cross_view=cross_view, unit=unit, reduce=reduce,
    )  # fmt: skip


def _information_losses(
    model: PiCIE, heads: Heads, pair: ViewPair, config: Config, processes: Processes, clock: Clock
) -> tuple[Losses, Tensor]:
    """IIC: negative mutual information, averaged over both heads."""
    with clock.part("forward"):
        first, second = model(pair.first), model(pair.second)
    with clock.part("loss"), torch.autocast(first.device.type, enabled=False):
        second = resample(second.float(), pair.rows, pair.columns)
        views = [_head_logits(heads, one.float(), config) for one in (first, second)]
        parts = [
            iic_loss(one, two, _DISPLACEMENT, processes.differentiable_sum)
            / processes.count  # each process has the loss of all, and they are summed later
            for one, two in zip(*views, strict=True)
        ]
        counts = [_counts(main.argmax(1).flatten(), config.clusters) for main, _ in views]
    names = ("mutual_information", "mutual_information_auxiliary")
    information = {name: -part.detach() for name, part in zip(names, parts, strict=True)}
    return Losses((parts[0] + parts[1]) / 2, information), torch.stack(counts)


def _head_logits(heads: Heads, maps: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    logits: tuple[Tensor, Tensor] = heads(
        F.normalize(maps, dim=1) if config.unit_features else maps
    )
    return logits


def _counts(labels: Tensor, clusters: int) -> Tensor:
    """(K,) int64; unlike bincount, this does not synchronise with a GPU."""
    return labels.new_zeros(clusters).scatter_add_(0, labels, torch.ones_like(labels))


def _rows(maps: Tensor) -> Tensor:
    """(B h w, D), one row per pixel."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _teacher_maps(
    teacher: PiCIE, images: Tensor, config: Config
) -> tuple[list[Tensor] | None, Tensor]:
    """The backbone's stages if teacher and model share it, else None; the teacher's features."""
    with torch.no_grad():
        if config.backbone_rate or config.batchnorm != "running":
            return None, teacher(images)
        # A frozen backbone is identical in both networks, so it runs only once.
        stages = teacher.backbone(images)
        return stages, teacher.decoder(stages)
