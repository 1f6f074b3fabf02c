"""What an epoch is trained towards: clusters of both views and a network that labels by them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from picie.centroids import ClusterFit, Loader, cluster_features, cluster_order, counted
from picie.clustering.pseudo_labels import balance_weights
from picie.config import Config
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.objectives.prototypes import Prototypes
from picie.processes import Processes
from picie.profiling import Clock
from picie.progress import Reporter
from picie.types import Batch
from picie.views.geometric import resample
from picie.views.pair import Views

__all__ = ["Targets", "fit_targets"]


@dataclass(frozen=True)
class Targets:
    """Fixed while the network moves.

    Pseudo-labels are not stored: the teacher makes them inside the training step, from the views
    that the step needs anyway. That spares a pass over the pictures and a file of labels.

    Attributes:
        fits: k-means of view 1 and of view 2.
        prototypes: their centroids as classifiers, with the weight of each cluster in the loss.
        teacher: frozen copy of the network as it was clustered, in eval mode, its BatchNorm folded
            into the convolutions.
        seconds: wall time that the clustering took.
    """

    fits: tuple[ClusterFit, ClusterFit]
    prototypes: tuple[Prototypes, Prototypes]
    teacher: PiCIE
    seconds: float


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

    The views are clustered one after the other, as in the authors' code: in batch mode BatchNorm's
    running statistics end with view 2.

    Args:
        model: the network; with batch statistics its running ones are updated.
        loader: reads the pictures.
        views: the views of this epoch.
        config: sizes of the sample, metric, weights.
        epoch: number of the epoch.
        count: number of pictures N.
        reporter: shows how far it came.
        processes: those that share the work.
        clock: measures the parts.
    """
    began = time.monotonic()
    clock, processes = clock or Clock(), processes or Processes()
    fits = []
    seen = count if config.kmeans_update else min(count, config.kmeans_images)
    order = cluster_order(config, epoch, count)
    batch_statistics = config.kmeans_batchnorm == "batch"
    model.train(batch_statistics)
    network = model if batch_statistics else folded(model)
    for view in (0, 1):
        label = f"epoch {epoch + 1}/{config.epochs}, clustering view {view + 1}"
        with reporter.task(label, seen) as advance:
            fit = cluster_features(
                _view_features(network, views, view, clock),
                counted(loader, advance),
                order,
                config,
                epoch=epoch,
                stream=view,
                processes=processes,
                clock=clock,
            )
        fits.append(fit)
    first, second = (_prototypes(fit, config) for fit in fits)
    teacher = folded(model) if batch_statistics else network
    seconds = time.monotonic() - began
    return Targets((fits[0], fits[1]), (first, second), teacher, seconds)


def _prototypes(fit: ClusterFit, config: Config) -> Prototypes:
    counts = fit.clusters.counts.new_zeros(int(fit.groups.max()) + 1)
    counts.index_add_(0, fit.groups, fit.clusters.counts)  # sampled pixels of each cluster
    weights = balance_weights(counts, config.balance)
    return Prototypes.of(fit.clusters.centroids, fit.groups, weights, config.logit_rule)


def _view_features(
    model: PiCIE, views: Views, view: int, clock: Clock
) -> Callable[[Batch], Tensor]:
    """A function to (B, D, h, w) features of one view in the frame of G.

    z1 = f(G(P1(x))), z2 = G(f(P2(x))).
    """

    def features(batch: Batch) -> Tensor:
        with clock.part("clustering views"):
            images, rows, columns = views.one(batch, view)
        with clock.part("clustering forward"):
            maps = model(images)
        with clock.part("clustering"):
            return resample(maps, rows, columns) if view == 1 else maps

    return features
