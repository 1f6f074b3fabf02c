"""Clusters of a model's pixel features: the passes that k-means needs, bound to k-means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import ContactCells, measure_affinities
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.kmeans.points import Metric
from picie.clustering.linkage import build_tree
from picie.clustering.smoothing import smooth_features
from picie.clustering.tree import cut_tree
from picie.config import Config
from picie.data.crop_loader import Loader
from picie.errors import DataError
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.runtime.distributed import Processes
from picie.runtime.profiler import Clock
from picie.runtime.random import Stream, numpy_generator, torch_seed
from picie.types import Batch, Clusters
from picie.views.pair import clean_view

__all__ = [
    "ClusterFit",
    "Features",
    "cluster_features",
    "cluster_order",
    "fit_clean_centroids",
    "keep_centroids",
    "nothing_read",
    "sample_pixels",
]


def sample_pixels(
    maps: Tensor, indices: Tensor, count: int, generator: Callable[[int], np.random.Generator]
) -> Tensor:
    """Some pixels of each image, the same ones whatever batch it comes in.

    Args:
        maps: (B, n, D) features of all pixels.
        indices: (B,) numbers of the images.
        count: pixels of each; 0, or n and more, for all.
        generator: makes the random numbers of an image from its number.

    Returns:
        (B, count, D), or `maps` itself.
    """
    total = maps.shape[1]
    if not 0 < count < total:
        return maps
    if not len(indices):
        return maps[:, :count]
    chosen = [
        generator(index).choice(total, count, replace=False, shuffle=False)
        for index in indices.tolist()
    ]
    where = torch.from_numpy(np.stack(chosen)).to(maps.device)
    return maps.gather(1, where[:, :, None].expand(-1, -1, maps.shape[2]))


Features = Callable[[Batch], tuple[Tensor, Tensor]]
"""Looks at a batch: (B, D, h, w) features of any length, and (B, 3, H, W) what they are of, in the
same frame."""


@dataclass(frozen=True)
class ClusterFit:
    """What one run of k-means learnt.

    Attributes:
        clusters: centroids (P, D) and counts (P,).
        groups: (P,) int64, the cluster 0..K-1 of each centroid; P = K unless over-clusters were
            merged.
        tree: (P - 1, 3) float64, the order in which centroids join (`build_tree`).
        objective: mean distance of a pixel to its centroid, in the metric of k-means.
        points: pixels that it saw in full-batch iterations.
    """

    clusters: Clusters
    groups: Tensor
    tree: Tensor
    objective: float
    points: int


def cluster_order(config: Config, epoch: int, count: int) -> list[int]:
    """Order in which an epoch's clustering reads the images: a pure function of (seed, epoch)."""
    rng = numpy_generator(Stream.CLUSTERING_ORDER, config.seed, epoch)
    order: list[int] = rng.permutation(count).tolist()
    return order


def cluster_features(
    features: Features,
    loader: Loader,
    order: list[int],
    config: Config,
    *,
    epoch: int,
    stream: int,
    levels: Sequence[tuple[int, int]] = (),
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> tuple[ClusterFit, ...]:
    """K-means over features of a sample of pixels, and the tree of its centroids.

    Args:
        features: of a batch.
        loader: reads the images, or this process' share of them.
        order: positions; the first `kmeans_images` make the sample.
        config: sizes of the sample, metric, start.
        epoch: number of the epoch, seeds the sample together with the seed.
        stream: tells runs of one epoch apart (0 and 1: the views).
        levels: (centroids, clusters) of each clustering of these pixels; the main one if empty.
        processes: those that share the work; all get the same centroids.
        clock: measures the parts.

    Returns:
        one fit per level.

    Raises:
        DataError: fewer pixels than centroids.
    """
    processes, clock = processes or Processes(), clock or Clock()
    sample = order[: config.kmeans_images]
    place_of = {index: place for place, index in enumerate(sample)}
    blocks, cells = [], ContactCells(config.size)
    batches = loader(sample, config.sample_batch_size)
    for indices, block, seen in _points(features, batches, config, epoch, clock):
        places = torch.tensor([place_of[index] for index in indices.tolist()], dtype=torch.int64)
        blocks.append((places, block))
        if config.merge_rule == "pixels":
            with clock.part("clustering"):
                cells.add(*seen, places)
    fits = []
    with clock.part("k-means"):
        points, rows, total = _collect(blocks, len(sample), processes)
        for level, (centroids, clusters) in enumerate(levels or config.levels[:1]):
            seed = torch_seed(Stream.KMEANS, config.seed, epoch, stream, level)
            kmeans = _fit_kmeans(points, rows, total, centroids, config, seed, processes)
            fits.append(_merged(kmeans, points, cells, total, clusters, config, processes))
    return tuple(fits)


def _fit_kmeans(
    points: Tensor,
    rows: Tensor,
    total: int,
    centroids: int,
    config: Config,
    seed: int,
    processes: Processes,
) -> KMeans:
    if total < centroids:
        raise DataError(
            f"{total} pixels were sampled and {centroids} centroids wanted; use fewer "
            "--clusters, more images, a larger --size or more --kmeans-pixels"
        )
    metric: Metric = "spherical" if config.spherical else "euclidean"
    kmeans = KMeans(
        centroids, metric=metric, init=config.kmeans_init, seed=seed, reduce=processes.sum
    )
    return kmeans.fit(points, rows=rows)


def _merged(
    kmeans: KMeans,
    points: Tensor,
    cells: ContactCells,
    total: int,
    clusters: int,
    config: Config,
    processes: Processes,
) -> ClusterFit:
    """What k-means found, merged to the clusters that are wanted."""
    affinities: tuple[Tensor, ...] = ()
    if config.merge_rule == "pixels":
        affinities = measure_affinities(
            kmeans.cluster_centers_, points, cells, reduce=processes.sum
        )
    tree = build_tree(kmeans.cluster_centers_, *affinities)
    found = Clusters(kmeans.cluster_centers_, kmeans.counts_)
    return ClusterFit(found, cut_tree(tree, clusters), tree, kmeans.history_[-1], total)


@torch.no_grad()
def fit_clean_centroids(
    model: PiCIE,
    loader: Loader,
    count: int,
    config: Config,
    *,
    repeat: int = 0,
    processes: Processes | None = None,
) -> ClusterFit:
    """Centroids from un-augmented images.

    Args:
        model: the network; its running statistics change if the config asks for batch statistics.
        loader: reads the images.
        count: number of images N.
        config: as for training.
        repeat: another number gives another sample and another start.
        processes: those that share the work.
    """
    # Epochs count from 0; the draws of clean fits must not be those of any epoch.
    epoch = 2**31 + repeat
    batch_statistics = config.batchnorm == "batch"
    model.train(batch_statistics)
    network = model if batch_statistics else folded(model)

    def features(batch: Batch) -> tuple[Tensor, Tensor]:
        images = clean_view(batch.images, config.size)
        maps = network(images)
        return smooth_features(maps, images, config), images

    order = cluster_order(config, epoch, count)
    fits = cluster_features(
        features, loader, order, config, epoch=epoch, stream=0, processes=processes
    )
    model.eval()
    return fits[0]


def keep_centroids(model: PiCIE, *fits: ClusterFit) -> None:
    """Put the centroids of one fit per view into the model."""
    model.set_centroids(
        [fit.clusters.centroids for fit in fits],
        [fit.groups for fit in fits],
        trees=[fit.tree for fit in fits],
    )


def _points(
    features: Features,
    batches: Iterable[Batch],
    config: Config,
    epoch: int,
    clock: Clock,
) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, Tensor]]]:
    """Of each batch the positions (B,), (B, n, D) sampled features, and what `features` gives."""
    for batch in clock.waits(batches):
        maps, images = features(batch)
        with clock.part("clustering"):
            pixels = maps.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h w, D)
            draws = partial(numpy_generator, Stream.CLUSTERING_PIXELS, config.seed, epoch)
            chosen = sample_pixels(pixels, batch.indices, config.kmeans_pixels, draws).float()
            if config.unit_features:
                chosen = F.normalize(chosen, dim=2)
        yield batch.indices, chosen, (maps, images)


def _collect(
    found: list[tuple[Tensor, Tensor]], images: int, processes: Processes
) -> tuple[Tensor, Tensor, int]:
    """Points (N, D) of this process, their row numbers (N,) among all points, and how many are all.

    Rows are numbered by the place of their image among those of the sample, which comes with its
    points, so that they do not depend on which process has read it.
    """
    if not found:
        raise nothing_read()
    places = torch.cat([one for one, _ in found])
    points = torch.cat([one for _, one in found])
    device = points.device
    read = torch.zeros(images, dtype=torch.int64, device=device)
    read[places.to(device)] = 1
    number = processes.sum(read).cumsum(0)
    if not int(number[-1]):
        raise nothing_read()
    pixels = points.shape[1]
    first = (number.cpu()[places] - 1) * pixels
    rows = (first[:, None] + torch.arange(pixels)).flatten()
    return points.flatten(0, 1), rows, int(number[-1]) * pixels


def nothing_read() -> DataError:
    """The error where a pass over images found none that can be read."""
    return DataError("none of the images could be read; look at the list of unreadable ones")
