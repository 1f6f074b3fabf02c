"""Clustering of a model's pixel features: sample pixels, run k-means, merge its centroids."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import ContactCells, measure_affinities
from picie.clustering.kept_stages import KeptStages
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.kmeans.points import Metric
from picie.clustering.smoothing import cell_stages, smooth_features
from picie.clustering.tree import cut_tree
from picie.clustering.vote import Vote, vote_tree
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
    "check_pixels",
    "clean_sample",
    "cluster_features",
    "cluster_order",
    "fit_clean_centroids",
    "keep_centroids",
    "nothing_read",
    "sample_pixels",
]

_CLEAN = 2**31  # no training epoch has such a number, so none shares these random draws


def sample_pixels(
    maps: Tensor, indices: Tensor, count: int, generator: Callable[[int], np.random.Generator]
) -> Tensor:
    """Sample pixels of each image; the choice does not depend on the batch the image is in.

    Args:
        maps: (B, n, D) features of all pixels.
        indices: (B,) indices of the images.
        count: pixels per image; all of them if 0 or at least n.
        generator: maps the index of an image to its random generator.

    Returns:
        (B, count, D), or `maps` itself if all pixels are taken.
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
    pixels = torch.from_numpy(np.stack(chosen)).to(maps.device)
    return maps.gather(1, pixels[:, :, None].expand(-1, -1, maps.shape[2]))


def check_pixels(total: int, centroids: int) -> None:
    """Raise if a sample has fewer pixels than k-means has centroids.

    Raises:
        DataError: the message says which settings to change.
    """
    if total < centroids:
        raise DataError(
            f"{total} sampled pixels are too few for {centroids} centroids; use fewer "
            "--clusters, more images, a larger --size or more --kmeans-pixels"
        )


Features = Callable[[Batch], tuple[Tensor, Tensor]]
"""Maps a batch to (B, D, h, w) features of any length and to the (B, 3, H, W) images of these
features, geometrically aligned with them."""


@dataclass(frozen=True)
class ClusterFit:
    """Result of one run of k-means.

    Attributes:
        clusters: centroids (P, D) and counts (P,).
        groups: (P,) int64, the cluster 0..K-1 of each centroid; P = K unless over-clusters were
            merged.
        vote: its tree, (P - 1, 3) float64, is the order in which centroids merge.
        objective: mean distance of a pixel to its centroid, in the metric of k-means.
        points: number of pixels clustered, over all processes.
    """

    clusters: Clusters
    groups: Tensor
    vote: Vote
    objective: float
    points: int


def cluster_order(config: Config, epoch: int, count: int) -> list[int]:
    """Order in which an epoch's clustering reads the images; depends on (seed, epoch) only."""
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
    """Run k-means on the features of sampled pixels, and merge its centroids to clusters.

    Args:
        features: maps a batch to its features and images.
        loader: reads the images, or this process' share of them.
        order: indices of images; the first `kmeans_images` form the sample.
        config: sizes of the sample, metric, initialisation, merge rule.
        epoch: number of the epoch; seeds the sample together with `config.seed`.
        stream: random stream within the epoch: the number of the view, 0 or 1.
        levels: (centroids, clusters) of each clustering of these pixels; empty = the main one.
        processes: the processes that share the work; all get the same centroids.
        clock: measures the time of each part.

    Returns:
        One fit per level.

    Raises:
        DataError: fewer pixels than centroids.
    """
    processes, clock = processes or Processes(), clock or Clock()
    sample = order[: config.kmeans_images]
    place_of = {index: place for place, index in enumerate(sample)}
    blocks, cells = [], ContactCells(config.size)
    batches = loader(sample, config.sample_batch_size)
    for indices, block, maps_and_images in _points(features, batches, config, epoch, clock):
        places = torch.tensor([place_of[index] for index in indices.tolist()], dtype=torch.int64)
        blocks.append((places, block))
        if config.merge_rule == "pixels":
            with clock.part("clustering"):
                cells.add(*maps_and_images, places)
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
    check_pixels(total, centroids)
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
    """Merge the centroids of k-means to the requested number of clusters."""
    affinities: tuple[Tensor, ...] = ()
    if config.merge_rule == "pixels":
        affinities = measure_affinities(
            kmeans.cluster_centers_, points, cells, reduce=processes.sum
        )
    vote = vote_tree(kmeans.cluster_centers_, clusters, *affinities)
    clustering = Clusters(kmeans.cluster_centers_, kmeans.counts_)
    groups = cut_tree(vote.tree, clusters)
    return ClusterFit(clustering, groups, vote, kmeans.history_[-1], total)


def clean_sample(config: Config, count: int) -> list[int]:
    """Indices of the images that `fit_clean_centroids` reads, of N = `count`."""
    return cluster_order(config, _CLEAN, count)[: config.kmeans_images]


@torch.no_grad()
def fit_clean_centroids(
    model: PiCIE,
    loader: Loader,
    count: int,
    config: Config,
    *,
    repeat: int = 0,
    processes: Processes | None = None,
    stages: KeptStages | None = None,
) -> ClusterFit:
    """Fit centroids to the features of unaugmented images.

    Args:
        model: the network; with `config.batchnorm = "batch"` its running statistics change.
        loader: reads the images.
        count: number of images N.
        config: as for training.
        repeat: selects an independent sample and initialisation.
        processes: the processes that share the work.
        stages: maps of images that were kept in earlier passes.
    """
    epoch, kept = _CLEAN + repeat, stages or KeptStages()
    batch_statistics = config.batchnorm == "batch"
    model.train(batch_statistics)
    network = model if batch_statistics else folded(model)

    def features(batch: Batch) -> tuple[Tensor, Tensor]:
        images = clean_view(batch.images, config.size)
        maps = network.decoder(cell_stages(kept(network.backbone, batch.indices, images), config))
        return smooth_features(maps, images, config), images

    order = cluster_order(config, epoch, count)
    fits = cluster_features(
        features, loader, order, config, epoch=epoch, stream=0, processes=processes
    )
    model.eval()
    return fits[0]


def keep_centroids(model: PiCIE, *fits: ClusterFit) -> None:
    """Store the centroids in the model, one fit per view."""
    model.set_centroids(
        [fit.clusters.centroids for fit in fits],
        [fit.groups for fit in fits],
        trees=[fit.vote.tree for fit in fits],
    )


def _points(
    features: Features,
    batches: Iterable[Batch],
    config: Config,
    epoch: int,
    clock: Clock,
) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, Tensor]]]:
    """Per batch: indices (B,), sampled features (B, n, D), and the result of `features`."""
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
    blocks: list[tuple[Tensor, Tensor]], images: int, processes: Processes
) -> tuple[Tensor, Tensor, int]:
    """Points (N, D) of this process, their row numbers (N,) over all processes, and the total.

    Each block comes with the positions of its images in the sample. Row numbers follow these
    positions, so they do not depend on which process has read an image.
    """
    if not blocks:
        raise nothing_read()
    places = torch.cat([one for one, _ in blocks])
    points = torch.cat([one for _, one in blocks])
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
    """The error of a pass over images none of which could be read."""
    return DataError("none of the images could be read; look at the list of unreadable ones")
