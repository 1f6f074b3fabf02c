"""Targets of an epoch: the clusters of its views, and a frozen network for the pseudo-labels."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.clustering.features import (
    ClusterFit,
    Features,
    cluster_features,
    cluster_order,
    keep_centroids,
)
from picie.clustering.pseudo_labels import balance_weights
from picie.clustering.smoothing import smooth_features
from picie.config import Config
from picie.data.crop_loader import Loader, counted
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.objectives.mdc import random_classifier
from picie.objectives.picie import log_ratio_weights
from picie.objectives.prototypes import Prototypes
from picie.runtime.devices import adam
from picie.runtime.distributed import Processes
from picie.runtime.profiler import Clock
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, torch_generator, torch_seed
from picie.types import Batch
from picie.views.geometric import resample
from picie.views.pair import Views

__all__ = ["Heads", "Level", "Targets", "fit_targets", "keep_classifiers", "view_features"]


@dataclass(frozen=True)
class Level:
    """One clustering of the features; PiCIE+H has two.

    Attributes:
        fits: k-means result per view.
        prototypes: per view, the centroids as a classifier, with the weights of the clusters.
        classifiers: per view, a learnt classifier that replaces the prototypes; empty without.
        weight: weight of the loss of this level.
    """

    fits: tuple[ClusterFit, ...]
    prototypes: tuple[Prototypes, ...]
    classifiers: tuple[nn.Linear, ...]
    weight: float


@dataclass(frozen=True)
class Targets:
    """Targets of one epoch; fixed during the epoch, except for learnt classifiers.

    Pseudo-labels are not stored. The teacher computes them in the training step, from the views
    that the step needs anyway, which saves a pass over the images and a file of labels.

    Attributes:
        levels: the main clustering, followed by the auxiliary one if there is one.
        teacher: frozen copy of the network at the time of the clustering, in eval mode, with its
            BatchNorm folded into the convolutions.
        optimizer: optimiser of the learnt classifiers; None without any.
        seconds: wall time of the clustering.
    """

    levels: tuple[Level, ...]
    teacher: PiCIE
    optimizer: torch.optim.Optimizer | None
    seconds: float

    def keep(self, model: PiCIE) -> None:
        """Store the classifier of the epoch in the model: centroids or learnt classifiers."""
        main = self.levels[0]
        if main.classifiers:
            keep_classifiers(model, main.classifiers)
        else:
            keep_centroids(model, *main.fits)

    def record(self) -> dict[str, Any]:
        """Fields of the epoch's record that describe the clustering."""
        return {"kmeans_objective": [fit.objective for fit in self.levels[0].fits]}


def keep_classifiers(model: PiCIE, classifiers: tuple[nn.Linear, ...]) -> None:
    """Store learnt classifiers in the model, one per view or a single one."""
    device = classifiers[0].weight.device
    model.set_centroids(
        [one.weight for one in classifiers],
        [torch.arange(one.out_features, device=device) for one in classifiers],
        [one.bias for one in classifiers],
    )


@torch.no_grad()
def fit_targets(
    model: PiCIE,
    loader: Loader,
    views: Views,
    config: Config,
    *,
    epoch: int,
    count: int,
    reporter: Reporter,
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> Targets:
    """Cluster the features of view 1, then of view 2, then freeze a copy of the network.

    The views are clustered sequentially, as in the authors' code; with `batchnorm = "batch"`, the
    running statistics of BatchNorm are last updated with view 2.

    Args:
        model: the network; with batch statistics its running statistics are updated.
        loader: reads the images.
        views: the views of this epoch.
        config: sizes of the sample, metric, weights.
        epoch: number of the epoch.
        count: number of images N.
        reporter: shows the progress.
        processes: the processes that share the work.
        clock: measures the time of each part.
    """
    began = time.monotonic()
    clock, processes = clock or Clock(), processes or Processes()
    fits = []
    num_images = min(count, config.kmeans_images)
    order = cluster_order(config, epoch, count)
    batch_statistics = config.batchnorm == "batch"
    model.train(batch_statistics)
    network = model if batch_statistics else folded(model)
    for view in config.views:
        label = f"epoch {epoch + 1}/{config.epochs}, clustering view {view + 1}"
        with reporter.task(label, num_images) as advance:
            fit = cluster_features(
                view_features(network, views, view, config, clock),
                counted(loader, advance),
                order,
                config,
                epoch=epoch,
                stream=view,
                levels=config.levels,
                processes=processes,
                clock=clock,
            )
        fits.append(fit)
    levels = _levels(fits, config, epoch)
    learnt = [p for level in levels for one in level.classifiers for p in one.parameters()]
    optimizer = adam(learnt, config.learning_rate, model.centroids.device) if learnt else None
    teacher = folded(model) if batch_statistics else network
    return Targets(levels, teacher, optimizer, time.monotonic() - began)


def _levels(fits: list[tuple[ClusterFit, ...]], config: Config, epoch: int) -> tuple[Level, ...]:
    """Regroup fits from [view][level] to levels."""
    sizes = [clusters for _, clusters in config.levels]
    weights = (1.0,) if len(sizes) == 1 else log_ratio_weights(*sizes)
    generator = torch_generator(Stream.CLASSIFIERS, config.seed, epoch)
    levels = []
    for level_fits, weight in zip(zip(*fits, strict=True), weights, strict=True):
        classifiers: tuple[nn.Linear, ...] = ()
        prototypes = tuple(_prototypes(fit, config) for fit in level_fits)
        if config.learns_classifier:
            classifiers = tuple(
                random_classifier(config.feature_size, len(one.weights), generator).to(
                    one.weights.device
                )
                for one in prototypes
            )
        levels.append(Level(level_fits, prototypes, classifiers, weight))
    return tuple(levels)


def _prototypes(fit: ClusterFit, config: Config) -> Prototypes:
    counts = fit.clusters.counts.new_zeros(int(fit.groups.max()) + 1)
    counts.index_add_(0, fit.groups, fit.clusters.counts)  # sampled pixels of each cluster
    weights = balance_weights(counts, config.balance)
    return Prototypes.of(fit.clusters.centroids, fit.groups, weights, config.similarity)


def view_features(model: PiCIE, views: Views, view: int, config: Config, clock: Clock) -> Features:
    """A function from a batch to the features of one view after G, and the aligned images.

    z1 = f(G(P1(x))), z2 = G(f(P2(x))), (B, D, h, w).
    """

    def features(batch: Batch) -> tuple[Tensor, Tensor]:
        with clock.part("clustering views"):
            images, rows, columns = views.one(batch, view)
        with clock.part("clustering forward"):
            maps = model(images)
        with clock.part("clustering"):
            if view == 1:
                maps = resample(maps, rows, columns)
                grid = (maps.shape[2], maps.shape[3])  # images at the resolution of the maps
                images = resample(F.adaptive_avg_pool2d(images, grid), rows, columns)
            return smooth_features(maps, images, config), images

    return features


class Heads(nn.Module):
    """The main head, which predicts, and the auxiliary over-clustering head (IIC, section 3.3).

    Both are trained over all epochs, by the optimiser of the network.

    Args:
        config: reads `feature_size` (D), `clusters` (K), `auxiliary_clusters` (K2) and `seed`.

    Attributes:
        seconds: wall time of the clustering, which IIC does not need: 0.
    """

    seconds = 0.0

    def __init__(self, config: Config) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(torch_seed(Stream.IIC_HEADS, config.seed))
            self.main = nn.Linear(config.feature_size, config.clusters)
            self.auxiliary = nn.Linear(config.feature_size, config.auxiliary_clusters)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K, h, w) and (B, K2, h, w) of features (B, D, h, w)."""
        rows = maps.permute(0, 2, 3, 1)
        main, auxiliary = (head(rows).permute(0, 3, 1, 2) for head in (self.main, self.auxiliary))
        return main, auxiliary

    def keep(self, model: PiCIE) -> None:
        """Store the main head in the model as its classifier."""
        keep_classifiers(model, (self.main,))

    def record(self) -> dict[str, Any]:
        """Empty: IIC has no clustering to report."""
        return {}
