"""What an epoch is trained towards: clusters of both views and a network that labels by them."""

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.centroids import ClusterFit, Loader, cluster_features, cluster_order, counted
from picie.clustering.pseudo_labels import balance_weights
from picie.config import Config
from picie.models.picie import PiCIE
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
        weights: (K,) weight of each cluster in the loss, per view.
        teacher: frozen copy of the network at the start of the epoch, in eval mode.
        seconds: wall time that the clustering took.
    """

    fits: tuple[ClusterFit, ClusterFit]
    weights: tuple[Tensor, Tensor]
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
    """
    began = time.monotonic()
    fits = []
    seen = count if config.kmeans_update else min(count, config.kmeans_images)
    model.train(config.kmeans_batchnorm == "batch")
    for view in (0, 1):
        label = f"epoch {epoch + 1}/{config.epochs}, clustering view {view + 1}"
        with reporter.task(label, seen) as advance:

            def features(batch: Batch, view: int = view) -> Tensor:
                return _view_features(model, views, batch, view)

            order = cluster_order(config, epoch, count)
            reads = counted(loader, advance)
            fits.append(cluster_features(features, reads, order, config, epoch=epoch, stream=view))
    device = model.centroids.device
    first, second = (
        balance_weights(_cluster_counts(fit), config.balance).to(device) for fit in fits
    )
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    seconds = time.monotonic() - began
    return Targets((fits[0], fits[1]), (first, second), teacher, seconds)


def _cluster_counts(fit: ClusterFit) -> Tensor:
    """(K,) sampled pixels of each cluster."""
    counts = fit.clusters.counts.new_zeros(int(fit.groups.max()) + 1)
    return counts.index_add_(0, fit.groups, fit.clusters.counts)


def _view_features(model: PiCIE, views: Views, batch: Batch, view: int) -> Tensor:
    """(B, D, h, w) unit features in the frame of G: z1 = f(G(P1(x))), z2 = G(f(P2(x)))."""
    images, rows, columns = views.one(batch, view)
    maps = model(images)
    if view == 1:
        maps = resample(maps, rows, columns)
    return F.normalize(maps, dim=1)
